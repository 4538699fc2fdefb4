// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureMemory

/// Form (application/x-www-form-urlencoded) with one value that is secret, in locked memory.
enum SecretForm {
    /// The headers of a request with such a body.
    static let headers = [
        (name: "Content-Type", value: "application/x-www-form-urlencoded"), (name: "Accept", value: "application/json"),
    ]

    /// Writes a form.
    ///
    /// - Parameters:
    ///   - pairs: keys and values that are not secret.
    ///   - key: the key of the secret.
    ///   - secret: the secret.
    /// - Returns: the body of a request.
    /// - Throws: where there is no memory for it.
    static func body(
        _ pairs: [(String, String)],
        _ key: String,
        _ secret: borrowing SecureBuffer
    ) throws(ProviderError) -> SecureBuffer {
        let start = Array((pairs.map { "\($0)=\(FormText.encoded($1))&" }.joined() + key + "=").utf8)
        return try secret.withBytes { (secret) throws(ProviderError) in
            try SecureBuffer.made(capacity: start.count + 3 * secret.count) { (bytes) in
                for index in start.indices { bytes[index] = start[index] }
                var filled = start.count
                for index in secret.indices { FormText.write(secret[index], to: &bytes, &filled) }
                return filled
            }
        }
    }
}

extension SecureBuffer {
    /// Drops newlines and spaces at the end: of a token in a file.
    mutating func dropTrailingSpace() {
        let count = withBytes { bytes in
            var end = bytes.count
            while end > 0, bytes[end - 1] <= 0x20 { end -= 1 }
            return end
        }
        setCount(count)
    }
}
