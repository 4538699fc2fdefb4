// SPDX-License-Identifier: Apache-2.0

internal import CFuse3
internal import Glibc
internal import Synchronization

/// Look at FUSE_INIT and its answer on their way between libfuse and the device.
///
/// The first server of a session amends its answer: the kernel's own limit for the time of a request (FUSE_REQUEST_TIMEOUT,
/// protocol 7.43) lets readers get an error, and the connection end, where nobody answers since the server is stopped;
/// libfuse before 3.18 cannot ask for it. The next server plays both again to its libfuse, and nothing of it reaches the
/// device.
final class Negotiator: Sendable {
    private struct State {
        var request: [UInt8] = []
        var succession: Succession
        /// The answer of the next server is that of the first.
        var isSame = false
    }

    private let seconds: UInt16?
    private let state: Mutex<State>
    /// Number of FUSE_INIT until it is answered; 0 for none, which the kernel never uses.
    private let pending = Atomic<UInt64>(0)

    /// Makes a look; nil where there is nothing to look for.
    init?(_ succession: Succession, timeout: UInt16?) {
        if case .none = succession, timeout == nil { return nil }
        seconds = timeout
        state = Mutex(State(succession: succession))
    }

    /// Looks at a request that was read.
    func note(request: UnsafeRawBufferPointer) {
        guard unsafe InitLayout.isRequest(request) else { return }
        let bytes = unsafe [UInt8](request)
        state.withLock { $0.request = bytes }
        pending.store(
            unsafe request.loadUnaligned(fromByteOffset: InitLayout.unique, as: UInt64.self),
            ordering: .releasing
        )
    }

    /// FUSE_INIT is not answered.
    var isPending: Bool { pending.load(ordering: .acquiring) != 0 }

    /// Amends the answer to FUSE_INIT, or compares it; any other is left as it is.
    ///
    /// - Returns: false where the answer is not for the device.
    func amend(_ answer: inout [UInt8]) -> Bool {
        let number = pending.load(ordering: .acquiring)
        let isMeant = unsafe answer.withUnsafeBytes { bytes in
            guard bytes.count >= InitLayout.answerHeader,
                unsafe bytes.loadUnaligned(fromByteOffset: InitLayout.unique, as: UInt64.self) == number
            else { return false }
            return unsafe bytes.loadUnaligned(fromByteOffset: InitLayout.answerError, as: Int32.self) == 0
        }
        guard isMeant else { return true }
        pending.store(0, ordering: .releasing)
        let (request, succession) = state.withLock { ($0.request, $0.succession) }
        switch succession {
        case .next(let before):
            state.withLock { $0.isSame = answer == before.answer }
            return false
        case .first(let tell): tell(Negotiation(request: request, answer: answer))
        case .none: break
        }
        if let seconds { Self.limit(seconds, request, &answer) }
        return true
    }

    /// Asks the kernel for its limit, where it has offered it.
    private static func limit(_ seconds: UInt16, _ request: [UInt8], _ answer: inout [UInt8]) {
        let isOffered = unsafe request.withUnsafeBytes { unsafe InitLayout.offers(InitLayout.limited, $0) }
        guard isOffered, answer.count == InitLayout.answer else { return }
        unsafe answer.withUnsafeMutableBytes { bytes in
            let flags = unsafe bytes.loadUnaligned(fromByteOffset: InitLayout.flags, as: UInt32.self)
            unsafe bytes.storeBytes(
                of: flags | InitLayout.extended,
                toByteOffset: InitLayout.flags,
                as: UInt32.self
            )
            // Without FUSE_INIT_EXT of its own what libfuse has here was never to count.
            let flags2 = unsafe bytes.loadUnaligned(fromByteOffset: InitLayout.flags2, as: UInt32.self)
            let further = flags & InitLayout.extended == 0 ? 0 : flags2
            unsafe bytes.storeBytes(
                of: further | InitLayout.limited,
                toByteOffset: InitLayout.flags2,
                as: UInt32.self
            )
            unsafe bytes.storeBytes(of: seconds, toByteOffset: InitLayout.timeout, as: UInt16.self)
        }
    }

    /// Plays the negotiation of the server before to a session of libfuse.
    ///
    /// - Returns: false where this libfuse agrees to something else, so that it must not serve what was agreed on.
    func replay(to session: OpaquePointer) -> Bool {
        guard case .next(let before) = state.withLock({ $0.succession }) else { return true }
        var bytes = before.request
        unsafe bytes.withUnsafeMutableBytes { bytes in
            unsafe note(request: UnsafeRawBufferPointer(bytes))
            var buffer = unsafe fuse_buf()
            unsafe buffer.mem = bytes.baseAddress
            unsafe buffer.size = bytes.count
            unsafe fuse_session_process_buf(session, &buffer)
        }
        return state.withLock { $0.isSame }
    }
}

extension Negotiator {
    /// Reading and writing of the device by libfuse, with a look at FUSE_INIT and its answer.
    static var transport: fuse_custom_io {
        // SAFETY: libfuse calls these with its own buffers and with the user data of the session, which is the connection.
        var transport = fuse_custom_io()
        unsafe transport.read = { device, buffer, capacity, data in
            let count = unsafe read(device, buffer, capacity)
            if count > 0, let negotiator = unsafe Connection.from(data)?.negotiator {
                unsafe negotiator.note(request: UnsafeRawBufferPointer(start: buffer, count: count))
            }
            return count
        }
        unsafe transport.writev = { device, parts, count, data in
            guard let negotiator = unsafe Connection.from(data)?.negotiator, negotiator.isPending,
                let parts = unsafe parts
            else {
                return unsafe writev(device, parts, count)
            }
            var answer: [UInt8] = []
            for index in 0..<Int(count) {
                let part = unsafe parts[index]
                unsafe answer.append(contentsOf: UnsafeRawBufferPointer(start: part.iov_base, count: part.iov_len))
            }
            let byteCount = answer.count
            guard negotiator.amend(&answer) else { return byteCount }
            return unsafe answer.withUnsafeBytes { unsafe write(device, $0.baseAddress, $0.count) }
        }
        return transport
    }
}
