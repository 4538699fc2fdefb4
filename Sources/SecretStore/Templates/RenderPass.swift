// SPDX-License-Identifier: Apache-2.0

internal import SecureMemory

/// One pass over pieces of a rendered file: content goes byte by byte through the stages, and what falls into the window stays.
struct RenderPass {
    /// Bytes between two checkpoints.
    private static let stride = 4096

    /// Bytes that Base64 waits with until there are three.
    private struct Group {
        var bits: UInt32 = 0
        var count = 0
    }

    private let pieces: [RenderedFile.Piece]
    private let window: Range<Int>
    /// The largest output; a pass that measures ends behind it.
    private let limit: Int
    /// Place of the next byte of the output.
    private(set) var position = 0
    /// Traits of the output, where they are wanted.
    private(set) var traits: ContentTraits?
    /// Places from which a later pass can begin, where they are wanted.
    private(set) var checkpoints: [RenderedFile.Checkpoint]?
    private var place = RenderedFile.Checkpoint()
    private var groups: [Group] = []

    /// Makes a pass that fills a window.
    init(_ pieces: [RenderedFile.Piece], window: Range<Int>) {
        self.pieces = pieces
        self.window = window
        limit = window.upperBound
    }

    /// Makes a pass that keeps nothing of the content: it finds checkpoints, and traits of the output if they are wanted.
    init(measuring pieces: [RenderedFile.Piece], limit: Int, findsTraits: Bool) {
        self.pieces = pieces
        window = 0..<0
        self.limit = limit
        traits = findsTraits ? ContentTraits() : nil
        checkpoints = []
    }

    /// Renders until the window is full, the limit is passed or there is no more.
    mutating func run<E: Error>(
        from start: RenderedFile.Checkpoint,
        _ scratch: inout SecureBuffer,
        _ output: inout MutableSpan<UInt8>,
        _ read: RenderedFile.PartReader<E>
    ) throws(E) {
        place = start
        position = start.output
        let capacity = scratch.capacity
        defer {
            scratch.setCount(capacity)
            scratch.wipe()
            for index in groups.indices { groups[index] = Group() }
        }
        while place.piece < pieces.count && !isDone {
            let piece = pieces[place.piece]
            groups = [Group](repeating: Group(), count: piece.stages.count)
            if place.operand == 0 && place.offset == 0 {
                noteCheckpoint()
                open(piece, &output)
            }
            while place.operand < piece.operands.count && !isDone {
                try pass(piece.operands[place.operand], piece.stages, &scratch, &output, read)
            }
            guard place.operand == piece.operands.count else { return }
            close(piece, &output)
            place.piece += 1
            place.operand = 0
            place.consumed = 0
        }
    }

    private var isDone: Bool { checkpoints == nil ? position >= limit : position > limit }

    /// Passes an operand from the present offset on through the stages.
    private mutating func pass<E: Error>(
        _ operand: RenderedFile.Operand,
        _ stages: [TemplateStage],
        _ scratch: inout SecureBuffer,
        _ output: inout MutableSpan<UInt8>,
        _ read: RenderedFile.PartReader<E>
    ) throws(E) {
        if place.offset == 0, let quote = operand.stage?.quote { feed(quote, stages, 0, &output) }
        switch operand.source {
        case .text(let bytes):
            while place.offset < bytes.count && !isDone {
                feed(bytes[place.offset], operand.stage, stages, &output)
                place.offset += 1
                if place.offset < bytes.count { noteCheckpoint() }
            }
            guard place.offset == bytes.count else { return }
        case .part(let part, let count):
            while place.offset < count && !isDone {
                scratch.setCount(min(scratch.capacity, Self.stride, count - place.offset))
                try scratch.withMutableBytes { (bytes) throws(E) in
                    try read(part, place.offset, &bytes)
                    for index in bytes.indices {
                        feed(bytes[index], operand.stage, stages, &output)
                        place.offset += 1
                        if place.offset < count { noteCheckpoint() }
                    }
                }
            }
            guard place.offset == count else { return }
        }
        if let quote = operand.stage?.quote { feed(quote, stages, 0, &output) }
        place.operand += 1
        place.offset = 0
    }

    private mutating func feed(
        _ byte: UInt8,
        _ stage: TemplateStage?,
        _ stages: [TemplateStage],
        _ output: inout MutableSpan<UInt8>
    ) {
        guard let stage else { return feed(byte, stages, 0, &output) }
        let spelling = stage.spelling(of: byte)
        for index in 0..<spelling.count { feed(spelling[index], stages, 0, &output) }
    }

    /// Gives a byte to a stage, and what comes of it to those behind.
    private mutating func feed(
        _ byte: UInt8,
        _ stages: [TemplateStage],
        _ index: Int,
        _ output: inout MutableSpan<UInt8>
    ) {
        if index == 0 { place.consumed += 1 }
        guard index < stages.count else { return emit(byte, &output) }
        switch stages[index] {
        case .strip(let range):
            // The first stage of all, so its input is what was consumed.
            if range.contains(place.consumed - 1) { feed(byte, stages, index + 1, &output) }
        case .base64:
            groups[index].bits = groups[index].bits << 8 | UInt32(byte)
            groups[index].count += 1
            if groups[index].count == 3 { flush(stages, index, &output) }
        case .json, .shell, .dotenv, .url, .pgpass:
            let spelling = stages[index].spelling(of: byte)
            for digit in 0..<spelling.count { feed(spelling[digit], stages, index + 1, &output) }
        }
    }

    /// Writes what Base64 holds back.
    private mutating func flush(_ stages: [TemplateStage], _ index: Int, _ output: inout MutableSpan<UInt8>) {
        let group = groups[index]
        groups[index] = Group()
        guard group.count > 0 else { return }
        let bits = group.bits << UInt32(8 * (3 - group.count))
        for digit in 0..<4 {
            let value = UInt8(truncatingIfNeeded: bits >> UInt32(18 - 6 * digit) & 63)
            feed(digit <= group.count ? Self.digit(value) : UInt8(ascii: "="), stages, index + 1, &output)
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        switch value {
        case 0..<26: UInt8(ascii: "A") + value
        case 26..<52: UInt8(ascii: "a") + value - 26
        case 52..<62: UInt8(ascii: "0") + value - 52
        case 62: UInt8(ascii: "+")
        default: UInt8(ascii: "/")
        }
    }

    /// Writes the quotes before a piece, the outermost first.
    private mutating func open(_ piece: RenderedFile.Piece, _ output: inout MutableSpan<UInt8>) {
        for index in piece.stages.indices.reversed() {
            if let quote = piece.stages[index].quote { feed(quote, piece.stages, index + 1, &output) }
        }
    }

    /// Writes what the stages hold back and the quotes behind a piece.
    private mutating func close(_ piece: RenderedFile.Piece, _ output: inout MutableSpan<UInt8>) {
        for index in piece.stages.indices {
            if piece.stages[index] == .base64 { flush(piece.stages, index, &output) }
            if let quote = piece.stages[index].quote { feed(quote, piece.stages, index + 1, &output) }
        }
    }

    private mutating func emit(_ byte: UInt8, _ output: inout MutableSpan<UInt8>) {
        traits?.add(byte)
        if window.contains(position) { output[position - window.lowerBound] = byte }
        position += 1
    }

    private mutating func noteCheckpoint() {
        guard let last = checkpoints?.last else {
            if checkpoints != nil { appendCheckpoint() }
            return
        }
        let isFar =
            position - last.output >= Self.stride
            || place.piece == last.piece && place.consumed - last.consumed >= Self.stride
        if isFar && groups.allSatisfy({ $0.count == 0 }) { appendCheckpoint() }
    }

    private mutating func appendCheckpoint() {
        var checkpoint = place
        checkpoint.output = position
        checkpoints?.append(checkpoint)
    }
}
