// SPDX-License-Identifier: Apache-2.0

internal import FoundationEssentials
internal import Jobs
internal import SecretStore
internal import SecureFiles

/// What is remembered of the last run, beside the store and nowhere else; never a name or a value.
struct Telemetry: Encodable {
    private let schemaVersion = 1
    private let command: String
    private let finished: String
    private let authMode: String
    private let reason: Nullable<String>
    private let secretCount: Int
    private let durationMilliseconds: Int64

    /// Describes a run that ends now.
    init(_ admission: Admission, started: ContinuousClock.Instant, command: String) {
        self.command = command
        finished = Timestamp.now().text
        authMode = admission.auth.text
        reason = Nullable(admission.auth.reason)
        secretCount = admission.entries.count
        let parts = (ContinuousClock.now - started).components
        durationMilliseconds = parts.seconds * 1000 + parts.attoseconds / 1_000_000_000_000_000
    }

    /// Writes it; that it cannot be written is no failure.
    func write(_ options: StoreOptions, _ context: CommandContext) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        guard let bytes = try? encoder.encode(self), let store = try? options.open(context),
            let state = try? store.existingState(for: context.store)
        else { return }
        let text = Array(bytes) + Array("\n".utf8)
        // Not worth waiting for a disk at the end of every job.
        try? state.replace("telemetry.json", with: text.span, isDurable: false)
    }
}
