// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureMemory
internal import SystemCalls

/// Answer while it arrives: bounded, its body in locked memory.
final class Arrival {
    private let limit: Int
    private let headLimit: Int
    private let asker: Int32
    private var headByteCount = 0
    private var filled = 0
    private var body: SecureBuffer?
    /// Headers, their names in lower case.
    private(set) var headers: [String: String] = [:]
    /// Why nothing more is taken.
    private(set) var error: ProviderError?

    /// Makes one of which nothing has come.
    init(limit: Int, headLimit: Int, asker: Int32) {
        self.limit = limit
        self.headLimit = headLimit
        self.asker = asker
    }

    /// Somebody waits for it.
    var isWanted: Bool {
        guard asker >= 0 else { return true }
        return (try? Readiness.wait(for: [asker], timeout: .zero)) == [false]
    }

    /// Takes a line of the head.
    ///
    /// - Returns: false where it is too large.
    func takeHeader(_ line: [UInt8]) -> Bool {
        headByteCount += line.count
        guard headByteCount <= headLimit else {
            error = ProviderError(.invalid, "the head of the answer is larger than \(headLimit) bytes")
            return false
        }
        let text = String(decoding: line, as: UTF8.self)
        // Those of an answer before this one, such as `100 Continue`.
        if text.hasPrefix("HTTP/") { headers = [:] }
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { return true }
        let value = parts[1].drop { $0.isWhitespace }
        headers[parts[0].lowercased()] = String(value.prefix { !$0.isNewline })
        return true
    }

    /// Takes a part of the body.
    ///
    /// - Returns: false where it is too large.
    func append(_ bytes: Span<UInt8>) -> Bool {
        guard filled + bytes.count <= limit else {
            error = ProviderError(.invalid, "the answer is larger than \(limit) bytes")
            return false
        }
        do throws(SecureMemoryError) {
            var buffer = try room(for: filled + bytes.count)
            let start = filled
            buffer.withMutableBytes { target in
                for index in bytes.indices { target[start + index] = bytes[index] }
            }
            filled += bytes.count
            body = consume buffer
            return true
        } catch {
            self.error = .memory(error)
            return false
        }
    }

    private func room(for count: Int) throws(SecureMemoryError) -> SecureBuffer {
        guard let old = body.take() else {
            return try SecureBuffer(count: min(limit, max(count, 4096)))
        }
        guard old.capacity < count else { return old }
        var larger = try old.copy(capacity: min(limit, max(count, 2 * old.capacity)))
        larger.setCount(larger.capacity)
        return larger
    }

    /// The whole body.
    func takeBody() throws(ProviderError) -> SecureBuffer {
        guard var buffer = body.take() else { return try SecureBuffer.empty() }
        buffer.setCount(filled)
        return buffer
    }
}

extension SecureBuffer {
    /// A buffer that a function fills, and tells how many bytes count.
    static func made(
        capacity: Int,
        _ fill: (inout MutableSpan<UInt8>) -> Int
    ) throws(ProviderError) -> SecureBuffer {
        try filled(capacity: capacity, orThrow: ProviderError.memory) { (bytes) throws(ProviderError) in fill(&bytes) }
    }

    /// A buffer without bytes.
    static func empty() throws(ProviderError) -> SecureBuffer { try made(capacity: 0) { _ in 0 } }

    /// A copy of bytes.
    static func copying(_ bytes: Span<UInt8>) throws(ProviderError) -> SecureBuffer {
        try made(capacity: bytes.count) { target in
            for index in bytes.indices { target[index] = bytes[index] }
            return bytes.count
        }
    }

    /// A copy of a text that holds nothing secret.
    static func copying(_ text: String) throws(ProviderError) -> SecureBuffer {
        try copying(text.utf8.span)
    }
}

extension Span<UInt8> {
    /// The text of bytes that are not secret; nil where they are not UTF-8.
    var text: String? {
        guard let text = try? UTF8Span(validating: self) else { return nil }
        return String(copying: text)
    }
}
