// SPDX-License-Identifier: Apache-2.0

internal import Jobs
internal import SecretStore
internal import SecureJSON

/// What is remembered of the last run, beside the store and nowhere else; never a name or a value.
struct Telemetry {
    private let command: String
    private let finished: String
    private let authMode: String
    private let reason: String?
    private let secretCount: Int
    private let durationMilliseconds: Int64

    /// Describes a run that ends now.
    init(_ admission: Admission, started: ContinuousClock.Instant, command: String) {
        self.command = command
        finished = Timestamp.now().text
        authMode = admission.auth.text
        reason = admission.auth.reason
        secretCount = admission.entries.count
        let parts = (ContinuousClock.now - started).components
        durationMilliseconds = parts.seconds * 1000 + parts.attoseconds / 1_000_000_000_000_000
    }

    /// Writes it; that it cannot be written is no failure.
    func write(_ options: StoreOptions, _ context: CommandContext) {
        guard let store = try? options.open(context), let state = try? store.existingState() else { return }
        let text = JSONOutput.text([
            "command": .string(command), "finished": .string(finished), "authMode": .string(authMode),
            "reason": .string(orNull: reason), "secretCount": .integer(secretCount),
            "durationMilliseconds": .integer(durationMilliseconds),
        ])
        // Not worth waiting for a disk at the end of every job.
        try? state.replace("telemetry.json", with: text.utf8.span, isDurable: false)
    }
}
