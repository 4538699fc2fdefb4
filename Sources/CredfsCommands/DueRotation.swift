// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SecretStore
internal import SecureFiles
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// Rotation of the secrets whose period is over, by their commands.
///
/// Each value is written as soon as it is there: whoever made it may have made the old one invalid. One that cannot be
/// written is printed sealed.
struct DueRotation {
    let store: Store
    let context: CommandContext

    /// Runs those that are due.
    ///
    /// - Parameter open: reads and verifies the manifest.
    /// - Throws: status 1 naming the secrets that got no new value; the others have theirs.
    func run(_ open: () throws -> VerifiedManifest) throws {
        guard let identity = context.store else { return }
        var failed: [String] = []
        // A second process waits here, then sees what the first one has done.
        try store.whileRotating(identity, waiting: context.noteWaiting) {
            let verified = try open()
            let due = verified.manifest.secrets.filter { $0.rotation?.isDue($0.rotated, now: context.now()) == true }
            if due.isEmpty { context.console.note("nothing is due") }
            for secret in due {
                do {
                    try rotate(secret, verified.keys)
                    context.console.note("gave \(secret.name.text) a new value")
                } catch {
                    let failure = CommandError(anyError: error)
                    context.console.warning("\(secret.name.text): \(failure.message)")
                    failed.append(secret.name.text)
                }
                record(secret, failed.last == secret.name.text)
            }
        }
        guard failed.isEmpty else {
            throw CommandError(
                .failed,
                "no new value for \(failed.joined(separator: ", "))",
                hint: "the old values are as they were; what was made and not stored is printed above, sealed"
            )
        }
    }

    private func record(_ secret: SecretEntry, _ isFailure: Bool) {
        context.recorder.record(
            OperationEvent(
                .rotate,
                .init(secrets: [secret.name]),
                service: secret.service,
                status: isFailure ? .failed : .success,
                reason: "command of the secret",
                store: context.store
            )
        )
    }

    private func rotate(_ secret: SecretEntry, _ keys: StoreKeys) throws {
        guard let command = secret.rotation?.command else { return }
        // A full disk is better found out before there is a value to lose.
        try store.preflight(keys.store)
        let value = try output(of: command)
        var cipher = try keys.valueCipher()
        let kept = try cipher.seal(value, as: secret.name).text
        let new = NewValue(value)
        do {
            try store.update(keys, now: context.now(), waiting: context.noteWaiting) { manifest in
                guard let index = manifest.index(of: secret.name) else {
                    throw CommandError(.noSuchSecret, "it was deleted meanwhile")
                }
                var cipher = try keys.valueCipher()
                try manifest.secrets[index].enter(new.take(), with: &cipher, now: context.now())
            }
        } catch {
            context.console.warning(
                "the new value of \(secret.name.text) could not be stored; to keep it, put this into the manifest by hand "
                    + "and run credfs encrypt: \(kept)"
            )
            throw error
        }
    }

    private func output(of command: [String]) throws -> SecureBuffer {
        context.console.detail("running \(command.joined(separator: " "))")
        // A name without a slash is looked for in PATH.
        let line = command[0].contains("/") ? command : ["/usr/bin/env", "--"] + command
        let nothing = try StoreError.wrapping("start", command[0]) { () throws(Errno) in
            try OwnedDescriptor.open("/dev/null", O_RDONLY)
        }
        let pipe = try StoreError.wrapping("start", command[0]) { () throws(Errno) in try OwnedDescriptor.pipe() }
        let child = try StoreError.wrapping("start", command[0]) { () throws(Errno) in
            try ChildProcess(
                line[0],
                arguments: line,
                environment: SecretVariables.environmentForChildren(),
                descriptors: [(0, nothing.number), (1, pipe.write.number), (2, 2)]
            )
        }
        let value: Result<NewValue, any Error>
        do { value = .success(NewValue(try read(pipe))) } catch { value = .failure(error) }
        // The pipe is closed by now, so that a command that goes on writing ends.
        let exit = try StoreError.wrapping("wait for", command[0]) { () throws(Errno) in try child.wait() }
        guard exit == .status(0) else {
            throw CommandError(.failed, "its command failed", hint: "run it by hand to see why")
        }
        let content = try value.get().take()
        guard content.count > 0 else { throw CommandError(.failed, "its command wrote nothing") }
        return content
    }

    private func read(_ pipe: consuming OwnedDescriptor.Pipe) throws -> SecureBuffer {
        let end = pipe.ends { (read, _) in read }
        let limit = Manifest.usualSecretByteCount
        let content = try SecureBuffer.collecting(
            limit: limit,
            orThrow: { StoreError.memory($0) },
            { (bytes, start) throws(StoreError) in
                do throws(Errno) { return try end.read(into: &bytes, from: start) } catch {
                    throw .system("read from", "its command", error)
                }
            }
        )
        guard content.count <= limit else {
            throw CommandError(.invalid, "its command wrote more than \(limit) bytes")
        }
        return content
    }
}
