// SPDX-License-Identifier: Apache-2.0

package import SecureMemory

/// A template bound to one generation of its parts: its exact size, and any range of its content on demand.
///
/// It holds no content, only numbers of bytes: what is rendered goes straight to the memory of whoever reads.
package final class RenderedFile: Sendable {
    /// Reader of a part: its index, the offset from which bytes are wanted, and the memory that they fill.
    package typealias PartReader<E: Error> = (Int, Int, inout MutableSpan<UInt8>) throws(E) -> Void

    /// Text or part of a piece.
    struct Operand: Sendable {
        enum Source: Sendable, Equatable {
            case text([UInt8])
            /// Index of a part and the number of its bytes.
            case part(Int, count: Int)
        }

        let source: Source
        /// Stage of this operand alone.
        var stage: TemplateStage?
    }

    /// Operands one behind the other, and the stages of their whole.
    struct Piece: Sendable {
        let operands: [Operand]
        var stages: [TemplateStage] = []
    }

    /// Place from which rendering can begin: no stage holds anything back.
    struct Checkpoint: Sendable {
        var piece = 0
        var operand = 0
        /// Bytes of the operand before it.
        var offset = 0
        /// Bytes of the piece before it.
        var consumed = 0
        /// Bytes of the file before it.
        var output = 0
    }

    /// The template that it is rendered from.
    package let template: Template
    /// The names of the parts, each once.
    package let parts: [SecretName]
    /// The size of the file.
    package let byteCount: Int
    private let pieces: [Piece]
    /// In the order of the file, the beginning first.
    private let checkpoints: [Checkpoint]

    init(_ template: Template, parts: [SecretName], pieces: [Piece], byteCount: Int, checkpoints: [Checkpoint]) {
        self.template = template
        self.parts = parts
        self.pieces = pieces
        self.byteCount = byteCount
        self.checkpoints = checkpoints
    }

    /// Renders a range of the file.
    ///
    /// - Parameters:
    ///   - offset: where the range begins.
    ///   - content: filled with it; must not reach beyond the end of the file.
    ///   - scratch: secure memory that parts pass through; zeros afterwards.
    ///   - read: reads parts that were authenticated.
    /// - Throws: errors of the reader; then nothing in `content` counts.
    package func read<E: Error>(
        at offset: Int,
        into content: inout MutableSpan<UInt8>,
        scratch: inout SecureBuffer,
        _ read: PartReader<E>
    ) throws(E) {
        precondition(offset >= 0 && content.count <= byteCount - offset, "a range lies in its file")
        var pass = RenderPass(pieces, window: offset..<offset + content.count)
        try pass.run(from: checkpoint(before: offset), &scratch, &content, read)
    }

    /// The last checkpoint that is not behind an offset.
    private func checkpoint(before offset: Int) -> Checkpoint {
        var (low, high) = (0, checkpoints.count)
        while low < high {
            let middle = (low + high) / 2
            if checkpoints[middle].output <= offset { low = middle + 1 } else { high = middle }
        }
        return low > 0 ? checkpoints[low - 1] : Checkpoint()
    }
}
