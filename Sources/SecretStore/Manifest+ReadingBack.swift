// SPDX-License-Identifier: Apache-2.0

internal import Sealing

extension Manifest {
    /// Checks that the text of this manifest is read back as the same, since what nobody can read must not be signed.
    ///
    /// - Parameter previous: a manifest that was read: what is the same in it needs no second look.
    /// - Throws: class `invalid`.
    func checkReadingBack(since previous: Manifest?) throws(StoreError) {
        var written = self
        written.comments = ManifestComments()
        if let previous, Set(secrets.map(\.name)).count == secrets.count {
            let known = Dictionary(previous.secrets.map { ($0.name, $0) }) { first, _ in first }
            written.secrets.removeAll { known[$0.name] == $0 }
        }
        let signature = String(repeating: "0", count: 2 * HMACSHA256.byteCount)
        let message = "this change would make a manifest that cannot be read back, so nothing was changed"
        var again: Manifest
        do throws(StoreError) {
            again = try ManifestReader.read(ManifestWriter.text(written, signature: signature).span).manifest()
        } catch { throw StoreError(.invalid, "\(message): \(error.message)", hint: error.hint) }
        again.comments = written.comments
        guard again.canonicalBytes == written.canonicalBytes else { throw StoreError(.invalid, message) }
    }

    private var canonicalBytes: [UInt8] {
        var bytes: [UInt8] = []
        CanonicalEncoding.encode(self) { piece in
            for index in piece.indices { bytes.append(piece[index]) }
        }
        return bytes
    }
}
