// SPDX-License-Identifier: Apache-2.0

internal import FoundationEssentials
internal import SecretStore
internal import SecureFiles

/// Summary of the last run or mount, rejected ones too, in `state/telemetry.json` and nowhere else; never a name or a
/// value.
struct Telemetry: Encodable {
    private let schemaVersion = 1
    private let command: String
    private let finished: String
    private let status: String
    private let authMode: Nullable<String>
    private let reason: Nullable<String>
    private let exitStatus: Nullable<Int32>
    private let secretCount: Int
    private let admissionMilliseconds: Nullable<Int64>
    private let durationMilliseconds: Int64

    private init(
        _ operation: OperationEvent.Operation,
        _ status: OperationEvent.Status,
        _ context: CommandContext
    ) {
        command = operation.rawValue
        finished = Timestamp.now().text
        self.status = status.rawValue
        authMode = Nullable(context.subjects.authMode)
        reason = Nullable(context.subjects.authReason)
        exitStatus = Nullable(context.subjects.exitStatus)
        secretCount = context.servedCount
        admissionMilliseconds = Nullable(context.decided.map { Self.milliseconds($0 - context.started) })
        durationMilliseconds = Self.milliseconds(.now - context.started)
    }

    /// Writes it, for operations that serve secrets; that it cannot be written is no failure.
    static func write(
        _ operation: OperationEvent.Operation,
        _ status: OperationEvent.Status,
        _ context: CommandContext
    ) {
        guard operation.serves else { return }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        guard let bytes = try? encoder.encode(Telemetry(operation, status, context)),
            let store = try? context.options?.open(context), let state = try? store.existingState(for: context.store)
        else { return }
        let text = Array(bytes) + Array("\n".utf8)
        // Not worth waiting for a disk at the end of every job.
        try? state.replace("telemetry.json", with: text.span, isDurable: false)
    }

    private static func milliseconds(_ duration: Duration) -> Int64 {
        let parts = duration.components
        return parts.seconds * 1000 + parts.attoseconds / 1_000_000_000_000_000
    }
}

extension OperationEvent.Operation {
    /// Whether secrets are served: then the log and the summary say whether they were, and why not.
    var serves: Bool { self == .run || self == .mount }
}
