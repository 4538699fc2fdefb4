// SPDX-License-Identifier: Apache-2.0

internal import CFuse3
internal import Glibc
internal import Synchronization

/// The kernel's own limit for the time of a request (FUSE_REQUEST_TIMEOUT, protocol 7.43): where nobody answers, because
/// the server is stopped, readers get an error and the connection ends.
///
/// libfuse before 3.18 cannot ask for it, so the answer to FUSE_INIT is amended on its way to the device. The layouts are
/// those of linux/fuse.h.
final class RequestTimeout: Sendable {
    /// Requests and answers as far as they matter here, by offsets.
    private enum Layout {
        static let opcode = 4
        static let unique = 8
        static let requestHeader = 40
        static let offeredFlags = requestHeader + 12
        static let offeredFlags2 = requestHeader + 16
        static let answerError = 4
        static let answerHeader = 16
        static let flags = answerHeader + 12
        static let flags2 = answerHeader + 32
        static let timeout = answerHeader + 40
        static let answer = answerHeader + 64
    }

    private static let initialize: UInt32 = 26
    /// FUSE_INIT_EXT: flags2 counts.
    private static let extended: UInt32 = 1 << 30
    /// FUSE_REQUEST_TIMEOUT, bit 42 of all flags.
    private static let limited: UInt32 = 1 << 10

    private let seconds: UInt16
    /// Number of the request FUSE_INIT that offers the limit, until it is answered; 0 for none, which the kernel never uses.
    private let offer = Atomic<UInt64>(0)

    init(seconds: UInt16) {
        self.seconds = seconds
    }

    /// Looks at a request that was read.
    func note(request: UnsafeRawBufferPointer) {
        guard request.count >= Layout.offeredFlags2 + 4,
            unsafe request.loadUnaligned(fromByteOffset: Layout.opcode, as: UInt32.self) == Self.initialize,
            unsafe request.loadUnaligned(fromByteOffset: Layout.offeredFlags, as: UInt32.self) & Self.extended != 0,
            unsafe request.loadUnaligned(fromByteOffset: Layout.offeredFlags2, as: UInt32.self) & Self.limited != 0
        else { return }
        offer.store(
            unsafe request.loadUnaligned(fromByteOffset: Layout.unique, as: UInt64.self),
            ordering: .releasing
        )
    }

    /// An offer was made and is not answered.
    var isOffered: Bool { offer.load(ordering: .acquiring) != 0 }

    /// Amends the answer to the offer.
    ///
    /// - Returns: false for any other answer, which is left as it is.
    func amend(_ answer: inout [UInt8]) -> Bool {
        let seconds = seconds
        let number = offer.load(ordering: .acquiring)
        let isMeant = unsafe answer.withUnsafeMutableBytes { bytes in
            guard bytes.count == Layout.answer,
                unsafe bytes.loadUnaligned(fromByteOffset: Layout.unique, as: UInt64.self) == number,
                unsafe bytes.loadUnaligned(fromByteOffset: Layout.answerError, as: Int32.self) == 0
            else { return false }
            let flags = unsafe bytes.loadUnaligned(fromByteOffset: Layout.flags, as: UInt32.self)
            unsafe bytes.storeBytes(of: flags | Self.extended, toByteOffset: Layout.flags, as: UInt32.self)
            // Without FUSE_INIT_EXT of its own what libfuse has here was never to count.
            let flags2 = unsafe bytes.loadUnaligned(fromByteOffset: Layout.flags2, as: UInt32.self)
            let further = flags & Self.extended == 0 ? 0 : flags2
            unsafe bytes.storeBytes(of: further | Self.limited, toByteOffset: Layout.flags2, as: UInt32.self)
            unsafe bytes.storeBytes(of: seconds, toByteOffset: Layout.timeout, as: UInt16.self)
            return true
        }
        if isMeant { offer.store(0, ordering: .releasing) }
        return isMeant
    }
}

extension RequestTimeout {
    /// Reading and writing of the device by libfuse, with a look at FUSE_INIT and its answer.
    static var transport: fuse_custom_io {
        // SAFETY: libfuse calls these with its own buffers and with the user data of the session, which is the connection.
        var transport = fuse_custom_io()
        unsafe transport.read = { device, buffer, capacity, data in
            let count = unsafe read(device, buffer, capacity)
            if count > 0, let timeout = unsafe Connection.from(data)?.timeout {
                unsafe timeout.note(request: UnsafeRawBufferPointer(start: buffer, count: count))
            }
            return count
        }
        unsafe transport.writev = { device, parts, count, data in
            guard let timeout = unsafe Connection.from(data)?.timeout, timeout.isOffered, let parts = unsafe parts
            else {
                return unsafe writev(device, parts, count)
            }
            var answer: [UInt8] = []
            for index in 0..<Int(count) {
                let part = unsafe parts[index]
                unsafe answer.append(contentsOf: UnsafeRawBufferPointer(start: part.iov_base, count: part.iov_len))
            }
            guard timeout.amend(&answer) else { return unsafe writev(device, parts, count) }
            return unsafe answer.withUnsafeBytes { unsafe write(device, $0.baseAddress, $0.count) }
        }
        return transport
    }
}
