// SPDX-License-Identifier: Apache-2.0

internal import SecretStore
internal import SecureFiles
internal import SecureJSON
internal import SystemCalls

/// Summary of the last run or mount, rejected ones too, in `state/telemetry.json` and nowhere else; never a name or a
/// value.
enum Telemetry {
    /// Writes it, for operations that serve secrets; that it cannot be written is no failure.
    static func write(
        _ operation: OperationEvent.Operation,
        _ status: OperationEvent.Status,
        _ context: CommandContext
    ) {
        guard operation.serves, let store = try? context.options?.open(context),
            let state = try? store.existingState(for: context.store)
        else { return }
        let text = JSONOutput.text([
            "command": .string(operation.rawValue),
            "finished": .string(Timestamp.now().text),
            "status": .string(status.rawValue),
            "authMode": .string(orNull: context.subjects.authMode),
            "reason": .string(orNull: context.subjects.authReason),
            "exitStatus": .integer(context.subjects.exitStatus),
            "unrecordedCount": .integer(Int64(context.audit.unrecordedCount)),
            "secretCount": .integer(context.servedCount),
            "admissionMilliseconds": .integer(context.decided.map { milliseconds($0 - context.started) }),
            "durationMilliseconds": .integer(milliseconds(.now - context.started)),
        ])
        // A mode that is not ours to mend here stays to be seen.
        let mode = (try? state.check("telemetry.json", .ownFile, PermissionChecker(isStrict: false)))?.permissions
        // Not worth waiting for a disk at the end of every job.
        try? state.replace("telemetry.json", with: text.utf8.span, mode: mode ?? 0o600, isDurable: false)
    }

    private static func milliseconds(_ duration: Duration) -> Int64 {
        let parts = duration.components
        return parts.seconds * 1000 + parts.attoseconds / 1_000_000_000_000_000
    }
}

extension OperationEvent.Operation {
    /// Secrets are served: then the log and the summary say whether they were, and why not.
    var serves: Bool { self == .run || self == .mount }
}
