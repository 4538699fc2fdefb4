// SPDX-License-Identifier: Apache-2.0

/// FUSE_INIT and its answer, by which kernel and server agree on a session (struct fuse_init_in and fuse_init_out,
/// linux/fuse.h).
package struct Negotiation: Sendable, Equatable {
    /// The request of the kernel, with its header.
    package let request: [UInt8]
    /// Answer of libfuse to it, with its header.
    package let answer: [UInt8]

    /// Makes a negotiation.
    package init(request: [UInt8], answer: [UInt8]) {
        self.request = request
        self.answer = answer
    }

    /// The kernel can send what a server has taken and not answered to the next one (FUSE_HAS_RESEND, Linux 6.9).
    package var offersResend: Bool {
        unsafe request.withUnsafeBytes { unsafe InitLayout.offers(InitLayout.hasResend, $0) }
    }
}

/// Way of a session to begin and to end.
package enum Succession: Sendable {
    /// Begins with FUSE_INIT, and nobody comes after it.
    case none
    /// Begins with FUSE_INIT, of which a worker tells once; another server may take it over.
    case first(@Sendable (Negotiation) -> Void)
    /// Goes on with what another server has agreed on.
    case next(Negotiation)
}

/// Offsets in FUSE_INIT and its answer.
enum InitLayout {
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

    /// FUSE_INIT.
    static let initialize: UInt32 = 26
    /// FUSE_INIT_EXT: flags2 counts.
    static let extended: UInt32 = 1 << 30
    /// FUSE_HAS_RESEND, bit 39 of all flags.
    static let hasResend: UInt32 = 1 << 7
    /// FUSE_REQUEST_TIMEOUT, bit 42 of all flags.
    static let limited: UInt32 = 1 << 10

    /// Detects FUSE_INIT.
    static func isRequest(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count >= requestHeader else { return false }
        return unsafe bytes.loadUnaligned(fromByteOffset: opcode, as: UInt32.self) == initialize
    }

    /// Detects a flag among the second half of those that the kernel offers.
    static func offers(_ flag: UInt32, _ request: UnsafeRawBufferPointer) -> Bool {
        guard unsafe isRequest(request), request.count >= offeredFlags2 + 4,
            unsafe request.loadUnaligned(fromByteOffset: offeredFlags, as: UInt32.self) & extended != 0
        else { return false }
        return unsafe request.loadUnaligned(fromByteOffset: offeredFlags2, as: UInt32.self) & flag != 0
    }
}
