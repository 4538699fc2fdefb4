// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
internal import Sealing
internal import SecretFileSystem
internal import SystemCalls
internal import SystemPackage

/// Process that takes away a mount, seen from its server.
protocol Detaching: AnyObject {
    /// The id of the process, or -1.
    var id: Int32 { get }

    /// Unmounts, and waits for it.
    func finish()
}

extension UnmountHelper: Detaching {}

/// Connection of a server to the process that keeps its mount when it is killed (`KeeperProcess`).
///
/// The first server starts that process and hands it the device, the ledger and the record; the next one is given them
/// where it proves that it has the key of the store.
final class MountKeeper: Detaching {
    /// Time for the process to have the server before end.
    private static let patience = Duration.seconds(10)

    private let socket: MessageSocket
    private let directory: OwnedDescriptor
    private let name: String
    /// The id of the process, or -1 where another server has started it.
    let id: Int32
    private var isThere = true

    /// Name of the socket of the process in the directory of control sockets.
    static func socketName(of id: String) -> String { "\(id).keeper" }

    /// Starts the process.
    ///
    /// - Parameters:
    ///   - path: the mount point.
    ///   - id: the identifier of the mount.
    ///   - runtime: where its socket is made, and which it keeps from being removed.
    /// - Throws: class `mount` or `place`.
    init(of path: String, _ id: String, in runtime: RuntimeDirectory) throws(MountError) {
        directory = try runtime.openControl()
        name = Self.socketName(of: id)
        do throws(Errno) {
            let nothing = try OwnedDescriptor.open("/dev/null", O_RDWR)
            let listener = try ListeningSocket(named: name, in: directory)
            var process: Int32 = -1
            socket = try MessageSocket.pair { (ours, theirs) throws(Errno) in
                process = try ChildProcess(
                    OwnProgram.path,
                    arguments: OwnProgram.arguments(KeeperProcess.mode, [path]),
                    environment: [],
                    descriptors: [
                        (0, nothing.number), (1, nothing.number), (2, nothing.number),
                        (KeeperProcess.serverNumber, theirs.descriptor.number),
                        (KeeperProcess.listenerNumber, listener.descriptor.number),
                        (KeeperProcess.runtimeNumber, runtime.descriptor.number),
                    ]
                ).id
                return ours
            }
            self.id = process
        } catch { throw MountError.system(.mount, "start the keeper of \(path)", error) }
    }

    /// Asks the process of another server's mount to hand it over.
    ///
    /// Where that server lives it is asked to go first.
    ///
    /// - Parameters:
    ///   - mount: the mount.
    ///   - runtime: where it was found.
    ///   - token: what its server had derived from the key of the store.
    /// - Throws: class `mount`.
    init(of mount: LiveMount, in runtime: RuntimeDirectory, proving token: borrowing Key256) throws(MountError) {
        id = -1
        directory = try runtime.openControl()
        name = Self.socketName(of: mount.id)
        do throws(Errno) {
            socket = try MessageSocket.connect(to: name, in: directory)
            try token.withBytes { (bytes) throws(Errno) in try socket.descriptor.writeAll(bytes) }
        } catch {
            throw MountError(
                .mount,
                "cannot reach the keeper of \(mount.path): \(error.message)",
                hint: "unmount it first: credfs unmount \(quoted(mount.path))"
            )
        }
    }

    /// Waits for a descriptor that the process hands over.
    ///
    /// - Throws: class `mount` where it closes the connection instead, or says nothing.
    func receive(_ kind: KeeperProcess.Message) throws(MountError) -> OwnedDescriptor {
        let hint =
            "present the key that its server had, before a rotation that it did not reload, or unmount it: credfs unmount"
        do throws(Errno) {
            let isReady = try Readiness.wait(for: [socket.descriptor.number], timeout: Self.patience) == [true]
            guard isReady else { throw .timedOut }
            let message = try socket.receive()
            guard message.descriptor >= 0 else { throw .connectionReset }
            let descriptor = OwnedDescriptor(owning: message.descriptor)
            guard message.bytes == [kind.rawValue] else { throw .protocolError }
            return descriptor
        } catch {
            guard error != .connectionReset else {
                throw MountError(.mount, "the keeper of the mount does not hand it over to this store", hint: hint)
            }
            throw MountError(.mount, "the keeper of the mount does not hand it over: \(error.message)", hint: hint)
        }
    }

    /// Hands the process what the next server needs.
    ///
    /// - Throws: class `mount`.
    func hold(
        _ device: borrowing OwnedDescriptor,
        _ ledger: MountLedger,
        record: Int32
    ) throws(MountError) {
        do throws(Errno) {
            try socket.send([KeeperProcess.Message.device.rawValue], descriptor: device.number)
            try socket.send([KeeperProcess.Message.ledger.rawValue], descriptor: ledger.descriptor)
            try socket.send([KeeperProcess.Message.record.rawValue], descriptor: record)
        } catch { throw MountError.system(.mount, "hand the mount to its keeper", error) }
    }

    /// Lets the process accept a server that proves with this token, and with no other.
    func accept(_ token: borrowing Key256) throws(SealingError) {
        let digest = try token.withBytes { (bytes) throws(SealingError) in try KeeperProcess.digest(bytes) }
        _ = socket.descriptor.writeOnce([KeeperProcess.Message.proof.rawValue] + digest)
    }

    /// Has the process take the mount away when this server ends, whatever happens.
    func acceptNobody() { _ = socket.descriptor.writeOnce([KeeperProcess.Message.nobody.rawValue]) }

    /// Can be read when another server asks for the mount; -1 where the process is gone.
    var notice: Int32 { isThere ? socket.descriptor.number : -1 }

    /// Another server asks for the mount.
    func isAskedToLeave() -> Bool {
        guard isThere, SignalQueue.isReadable(socket.descriptor.number) else { return false }
        let bytes = (try? socket.receive())?.bytes ?? []
        // Killed: the mount ends with this server, as far as it can.
        if bytes.isEmpty { isThere = false }
        return bytes == [KeeperProcess.Message.leave.rawValue]
    }

    func finish() {
        defer { try? directory.unlink(name) }
        _ = socket.descriptor.writeOnce([KeeperProcess.Message.end.rawValue])
        guard id < 0 else {
            _ = try? Children.exit(of: id)
            return
        }
        let deadline = ContinuousClock.now + Self.patience
        while isThere, ContinuousClock.now < deadline {
            _ = try? Readiness.wait(for: [socket.descriptor.number], timeout: deadline - .now)
            _ = isAskedToLeave()
        }
    }
}
