// SPDX-License-Identifier: Apache-2.0

internal import FuseBridge
package import ProcessControl
package import SecretFileSystem
internal import SecretStore
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// Reason why a call for a credential gets an empty answer, in the words of the audit log.
package struct CredentialRefusal: Error, Sendable, Equatable {
    /// `denied` or `failed`.
    package let status: String
    /// Cause, which names no value.
    package let reason: String

    /// Makes a refusal of the caller.
    package init(denied reason: String) {
        status = "denied"
        self.reason = reason
    }

    /// Makes a refusal for another cause.
    package init(failed reason: String) {
        status = "failed"
        self.reason = reason
    }

    fileprivate init(_ outcome: OpenAudit.Outcome) {
        let (status, reason) = OpenAudit.words(outcome)
        self.status = status
        self.reason = reason ?? ""
    }
}

/// Call of the service manager for a credential of a unit: what is asked for, and who asks.
package struct CredentialCall: ~Copyable {
    /// Time for the other end to take the value.
    private static let patience = Duration.seconds(10)
    private static let scratchByteCount = 4096

    /// Request in the name of the other end; nil where that is no name of a credential.
    package let request: CredentialRequest?
    /// The user of the other end.
    package let user: UInt32
    /// The process of the other end.
    package let identity: ProcessIdentity
    private let connection: StreamConnection

    /// Looks at who has connected.
    ///
    /// - Throws: the error of getsockopt(2) or getpeername(2).
    init(_ connection: consuming StreamConnection) throws(Errno) {
        let peer = try connection.peer()
        request = CredentialRequest(boundName: try connection.peerName())
        user = peer.user
        identity = ProcessIdentity.of(peer.process)
        self.connection = connection
    }

    /// Checks that the caller can be the manager that starts the unit it names: root, or the owner's own one.
    ///
    /// Root can bind any name. So where the kernel knows a unit of the caller, that has to be the one it names: the manager
    /// moves a process to the control group of its unit before it gets credentials.
    ///
    /// - Parameter owner: the user of this process.
    /// - Returns: the request.
    /// - Throws: `CredentialRefusal`.
    package func request(of owner: UInt32) throws(CredentialRefusal) -> CredentialRequest {
        guard user == 0 || user == owner else {
            throw CredentialRefusal(denied: "the caller is not the service manager")
        }
        guard let request else { throw CredentialRefusal(denied: "the caller names no credential of a unit") }
        guard let unit = provenUnit, unit != request.unit, !unit.hasSuffix("/\(request.unit)") else { return request }
        throw CredentialRefusal(denied: "the caller belongs to \(unit), not to \(request.unit)")
    }

    /// Unit by the control group of the caller; nil for the manager's own one.
    private var provenUnit: String? {
        guard let unit = identity.group.container ?? identity.group.unit else { return nil }
        return unit == "init.scope" || unit.hasSuffix("/init.scope") ? nil : unit
    }

    /// Secret that was opened for a unit.
    package struct Opened: Sendable {
        /// Secret itself.
        package let secret: OpenSecret
        /// Names of the secrets that it is rendered from.
        package let parts: [String]
        /// Its open raises an alarm.
        package let isDecoy: Bool
    }

    /// Opens what is asked for by the rules by which a mount would open it for this caller in the name of its unit.
    ///
    /// - Parameters:
    ///   - request: what is asked for.
    ///   - fileSystem: the secrets.
    /// - Returns: the secret.
    /// - Throws: `CredentialRefusal`.
    package func open(
        _ request: CredentialRequest,
        in fileSystem: SecretFileSystem
    ) throws(CredentialRefusal) -> Opened {
        var known = identity
        if provenUnit == nil { known.group = ControlGroup(unit: request.unit) }
        let caller = Caller(user: user, group: 0, thread: identity.process)
        let name = Array(request.credential.utf8)
        let candidate = try Self.refusing { () throws(FileSystemError) in try fileSystem.find(name.span, in: .root) }
        switch fileSystem.decide(on: candidate, caller: caller, identity: { [known] in known }) {
        case .allow, .observed: break
        case .refuse(let refusal): throw CredentialRefusal(.denied(refusal, .error))
        case .needsDigest: throw CredentialRefusal(.denied(PolicyRefusal(.executables), .error))
        case .hide: throw Self.refusal(.noSuchName)
        }
        // A count that begins again with each activation would be none.
        guard !candidate.countsOpens else { throw CredentialRefusal(.denied(PolicyRefusal(.maxReads), .error)) }
        var scratch: SecureBuffer
        do throws(SecureMemoryError) { scratch = try SecureBuffer(count: Self.scratchByteCount) } catch {
            throw CredentialRefusal(failed: "there is no locked memory: \(error.errno.message)")
        }
        do throws(FileSystemError) {
            let secret = try fileSystem.open(candidate, scratch: &scratch).secret
            return Opened(secret: secret, parts: candidate.parts.map(\.text), isDecoy: candidate.isDecoy)
        } catch { throw Self.refusal(error) }
    }

    private static func refusing<R>(
        _ body: () throws(FileSystemError) -> R
    ) throws(CredentialRefusal) -> R {
        do throws(FileSystemError) { return try body() } catch { throw refusal(error) }
    }

    private static func refusal(_ error: FileSystemError) -> CredentialRefusal {
        guard error == .noSuchName else { return CredentialRefusal(.failed(error)) }
        return CredentialRefusal(failed: "there is no such secret to show")
    }

    /// Answers with the bytes of a secret, which pass through locked memory.
    ///
    /// - Parameters:
    ///   - secret: what was opened.
    ///   - buffers: that memory, with one worker.
    /// - Throws: `CredentialRefusal` where the other end does not take them, or they cannot be decrypted.
    package func send(_ secret: OpenSecret, through buffers: ReadBuffers) throws(CredentialRefusal) {
        let deadline = ContinuousClock.now + Self.patience
        let worker = WorkerNumber(0)
        var offset = 0
        while true {
            let count: Int
            do throws(FileSystemError) {
                count = try secret.read(offset..<offset + buffers.byteCount, into: buffers, worker: worker)
            } catch { throw CredentialRefusal(.failed(error)) }
            guard count > 0 else { return }
            let failure = buffers.drain(worker) { bytes -> Errno? in
                do throws(Errno) { try connection.writeAll(bytes, until: deadline) } catch { return error }
                return nil
            }
            if let failure { throw CredentialRefusal(failed: "the caller does not take the value: \(failure.message)") }
            offset += count
        }
    }
}
