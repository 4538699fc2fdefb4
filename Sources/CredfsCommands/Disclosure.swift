// SPDX-License-Identifier: Apache-2.0

internal import AuditLog
internal import SecretStore

/// Recording of commands that give out plaintext themselves, where nothing may be given out that is not recorded
/// (`CREDFS_AUDIT=required`).
extension CredfsCommand {
    /// Writes the entry of this command before it gives anything out, if it must be recorded.
    ///
    /// Else the entry at its end is the only one; it is left out where this one says the same.
    ///
    /// - Parameters:
    ///   - context: what is known of the command by now.
    ///   - reason: what this entry says that the one at the end will not.
    /// - Throws: class `failed` where the entry cannot be written.
    func recordDisclosure(_ context: CommandContext, _ reason: String? = nil) throws {
        let settings = try OpenRecorder.settings([], context)
        guard settings.isRequired else { return }
        let event = event(.success, reason, context)
        do { try context.audit.append(event, synchronizing: settings.synchronizes) } catch {
            let message = (error as? AuditError)?.message ?? CommandError(anyError: error).message
            throw CommandError(
                .failed,
                "this must be recorded and cannot be: \(message)",
                hint: "see credfs doctor, or unset CREDFS_AUDIT"
            )
        }
        context.disclosure = event
    }
}
