// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
internal import Sealing
internal import SystemCalls
internal import SystemPackage

/// Process that keeps a mount alive while no server lives, so that its readers wait for the next one instead of failing.
///
/// It holds no key: the device, the ledger and the record of the mount. When its server ends without having said so it waits
/// for another one, and takes the mount away where none comes in time, which ends the waiting of every reader.
package final class KeeperProcess {
    /// The first argument that makes credfs this process.
    package static let mode = "hold-mount"

    static let serverNumber: Int32 = 3
    static let listenerNumber: Int32 = 4
    static let runtimeNumber: Int32 = 5

    /// First byte of what server and keeper tell each other.
    enum Message: UInt8 {
        /// With a descriptor: /dev/fuse.
        case device = 0x44
        /// With a descriptor: the ledger.
        case ledger = 0x4c
        /// With a descriptor: the record of the mount, and the lock on it.
        case record = 0x52
        /// SHA-256 of what the next server has to prove with.
        case proof = 0x4b
        /// No other server can take over.
        case nobody = 0x4e
        /// The mount ends.
        case end = 0x45
        /// From the keeper: another server takes over.
        case leave = 0x51
    }

    /// Time for another server to come (spec M11); the kernel's limit for requests is no shorter.
    private static let patience = Duration.seconds(30)
    /// Time for a server that takes over to prove itself, and for one that is replaced to go.
    private static let proofTime = Duration.seconds(2)
    private static let leaveTime = Duration.seconds(5)
    /// Time between two looks at whether the mount is still there.
    private static let lookTime = Duration.milliseconds(200)

    private let path: String
    private let listener: ListeningSocket
    /// The runtime directory, with its lock: it stays as long as something is mounted.
    private let runtime: OwnedDescriptor
    private let signals: SignalQueue
    private var server: MessageSocket?
    private var serverProcess: Int32
    private var device: OwnedDescriptor?
    private var ledger: OwnedDescriptor?
    private var record: OwnedDescriptor?
    private var proof: [UInt8] = []
    private var deadline: ContinuousClock.Instant?
    private var isEnding = false

    private init(_ path: String) throws(Errno) {
        self.path = path
        server = MessageSocket(owning: Self.serverNumber)
        listener = ListeningSocket(owning: Self.listenerNumber)
        try server?.descriptor.closeOnExec()
        try listener.descriptor.closeOnExec()
        // A lock of its own: that of the server ends with the server, or is taken to remove the directory.
        let inherited = OwnedDescriptor(owning: Self.runtimeNumber)
        runtime = try inherited.open(".", O_RDONLY | O_DIRECTORY)
        _ = try runtime.lockShared()
        serverProcess = ProcessAttributes.parentProcessID
        signals = try SignalQueue([SIGTERM, SIGINT, SIGHUP, SIGQUIT])
    }

    /// Digest of a token.
    static func digest(_ token: Span<UInt8>) throws(SealingError) -> [UInt8] {
        var digest = try SHA256Digest()
        try digest.update(token)
        return try digest.finalize()
    }

    /// The whole life of the process.
    ///
    /// - Returns: the exit status.
    package static func main(_ arguments: [String]) -> Int32 {
        guard arguments.count == 3 else { return 1 }
        // Out of reach of the keys of the terminal, and in nobody's way.
        setsid()
        try? OwnedDescriptor.changeWorkingDirectory(to: "/")
        let path = arguments[2]
        do throws(Errno) {
            let keeper = try KeeperProcess(path)
            while !keeper.isEnding { try keeper.act() }
        } catch {}
        // Before the device is closed: no reader finds a mount that nobody serves.
        return (try? Mounter.detach(path)) == nil ? 1 : 0
    }

    /// The next server could go on.
    private var canWait: Bool { device != nil && ledger != nil && record != nil && !proof.isEmpty }

    /// Waits for something to happen, and acts on it.
    private func act() throws(Errno) {
        let numbers = [server?.descriptor.number ?? -1, listener.descriptor.number]
        try signals.wait(or: numbers, timeout: deadline == nil ? nil : Self.lookTime)
        while let arrival = try signals.next() {
            // Whoever ends a whole service: the server, as long as there is one, ends the mount itself.
            if arrival.signal == SIGTERM, server == nil { isEnding = true }
        }
        if let number = server?.descriptor.number, SignalQueue.isReadable(number) { hear() }
        if !isEnding, SignalQueue.isReadable(listener.descriptor.number) { try admit() }
        guard let deadline else { return }
        let isThere = MountTable.has(path) && !Readiness.hasFailed(device?.number ?? -1)
        if !isThere || deadline <= .now { isEnding = true }
    }

    /// Takes a message of the server.
    private func hear() {
        guard let message = try? server?.receive(), let kind = message.bytes.first else {
            server = nil
            guard canWait else {
                isEnding = true
                return
            }
            deadline = .now + Self.patience
            noteWaiting()
            return
        }
        let descriptor = message.descriptor
        switch Message(rawValue: kind) {
        case .device where descriptor >= 0: device = OwnedDescriptor(owning: descriptor)
        case .ledger where descriptor >= 0: ledger = OwnedDescriptor(owning: descriptor)
        case .record where descriptor >= 0: record = OwnedDescriptor(owning: descriptor)
        case .proof: proof = Array(message.bytes.dropFirst())
        case .nobody: proof = []
        case .end: isEnding = true
        default: if descriptor >= 0 { _ = OwnedDescriptor(owning: descriptor) }
        }
    }

    /// Lets another server take over that proves that it has the key of the store.
    private func admit() throws(Errno) {
        guard let client = try listener.accept(), canWait else { return }
        let peer = try client.peer()
        guard [ProcessAttributes.effectiveUser, 0].contains(peer.user), isProved(by: client) else { return }
        guard dismiss() else { return }
        do throws(Errno) {
            try client.send([Message.device.rawValue], descriptor: device?.number ?? -1)
            try client.send([Message.ledger.rawValue], descriptor: ledger?.number ?? -1)
            try client.send([Message.record.rawValue], descriptor: record?.number ?? -1)
        } catch {
            // It has gone again; another one may come.
            return
        }
        server = consume client
        serverProcess = peer.process
        deadline = nil
    }

    private func isProved(by client: borrowing MessageSocket) -> Bool {
        let number = client.descriptor.number
        guard (try? Readiness.wait(for: [number], timeout: Self.proofTime)) == [true] else { return false }
        var count = 0
        let token = try? Key256.filled { (bytes) throws(SealingError) in
            count = (try? client.descriptor.read(into: &bytes)) ?? 0
        }
        guard count == Key256.byteCount, let token = consume token,
            let digest = try? token.withBytes({ (bytes) throws(SealingError) in try Self.digest(bytes) })
        else { return false }
        let expected = proof
        return ConstantTime.equal(digest.span, expected.span)
    }

    /// Has the server before go, if it is still there: asked, then killed.
    ///
    /// - Returns: it is gone.
    private func dismiss() -> Bool {
        guard server != nil else { return true }
        _ = server?.descriptor.writeOnce([Message.leave.rawValue])
        if waitForEnd(Self.leaveTime) { return true }
        if serverProcess > 1 { try? Children.send(SIGKILL, to: serverProcess) }
        return waitForEnd(Self.proofTime)
    }

    private func waitForEnd(_ time: Duration) -> Bool {
        let deadline = ContinuousClock.now + time
        while !isEnding, let number = server?.descriptor.number, ContinuousClock.now < deadline {
            if (try? Readiness.wait(for: [number], timeout: deadline - .now)) == [true] { hear() }
        }
        // Where it has said meanwhile that the mount ends, there is nothing to hand over.
        return server == nil && !isEnding
    }

    /// Lets the record say that nobody serves, and whom a signal to end the mount is for.
    private func noteWaiting() {
        guard let record = record.take() else { return }
        MountRecord.update(record) { mount in
            mount.pid = ProcessAttributes.processID
            mount.isWaiting = true
        }
        self.record = consume record
    }
}
