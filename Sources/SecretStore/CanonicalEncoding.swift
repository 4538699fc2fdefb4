// SPDX-License-Identifier: Apache-2.0

/// Canonical bytes of a manifest, which the signature covers (docs/file-format.md, "Canonical encoding").
///
/// A scalar is `S`, its length and its bytes; a list is `L`, its length and its items; a mapping is `M`, its length and
/// its pairs ordered by the bytes of their keys, each key written as a scalar. Lengths are 32 bits, big endian.
package enum CanonicalEncoding {
    /// Encodes a tree.
    package static func bytes(of node: ManifestNode) -> [UInt8] {
        var bytes: [UInt8] = []
        append(node, to: &bytes)
        return bytes
    }

    /// Hands out the encoding of a manifest in pieces.
    package static func encode<E: Error>(_ manifest: Manifest, _ write: (Span<UInt8>) throws(E) -> Void) throws(E) {
        let header = manifest.header
        // `secrets` sorts between `generation` and `slots`; the pairs of the whole are ordered like any other.
        let keys = (header.map(\.key) + [secretsKey]).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        var bytes: [UInt8] = []
        appendLength("M", keys.count, to: &bytes)
        for key in keys {
            appendScalar(key, to: &bytes)
            guard key == secretsKey else {
                for entry in header where entry.key == key { append(entry.node, to: &bytes) }
                continue
            }
            appendLength("M", manifest.secrets.count, to: &bytes)
            for index in manifest.secrets.indices.sorted(by: { manifest.secrets[$0].name < manifest.secrets[$1].name })
            {
                appendScalar(manifest.secrets[index].name.text, to: &bytes)
                append(manifest.secrets[index].node, to: &bytes)
                if bytes.count >= pieceByteCount {
                    try write(bytes.span)
                    bytes.removeAll(keepingCapacity: true)
                }
            }
        }
        try write(bytes.span)
    }

    private static let secretsKey = "secrets"
    private static let pieceByteCount = 1 << 16

    private static func append(_ node: ManifestNode, to bytes: inout [UInt8]) {
        switch node {
        case .text(let text), .digits(let text), .lines(let text):
            appendScalar(text, to: &bytes)
        case .number(let number):
            appendScalar(String(number), to: &bytes)
        case .flag(let flag):
            appendScalar(flag ? "true" : "false", to: &bytes)
        case .list(let items):
            appendLength("L", items.count, to: &bytes)
            for item in items { append(item, to: &bytes) }
        case .mapping(let pairs):
            appendLength("M", pairs.count, to: &bytes)
            for pair in pairs.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
                appendScalar(pair.key, to: &bytes)
                append(pair.node, to: &bytes)
            }
        }
    }

    private static func appendScalar(_ text: String, to bytes: inout [UInt8]) {
        appendLength("S", text.utf8.count, to: &bytes)
        bytes.append(contentsOf: text.utf8)
    }

    private static func appendLength(_ kind: Unicode.Scalar, _ count: Int, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: kind))
        for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: count >> shift)) }
    }
}
