// SPDX-License-Identifier: Apache-2.0

package import SecretProviders
package import SecureMemory

/// Request to a server, and what bounds it.
package struct HTTPRequest: ~Copyable {
    /// Where it goes.
    package let endpoint: Endpoint
    /// The method.
    package let method: String
    /// What follows the path of the endpoint, with its query.
    package let target: String
    /// Headers beside `Host`.
    package var headers: [(name: String, value: String)]
    /// Token of the header `Authorization`, which is put in without a copy outside of locked memory and libcurl.
    var bearer: BearerToken?
    /// The body; none where it is empty.
    package let body: SecureBuffer
    /// The largest answer in bytes.
    package var limit = 1 << 20
    /// Milliseconds for finding and reaching the server; nil for no limit but the deadline.
    package var connectTimeout: Int64?

    /// Makes a request.
    package init(
        _ method: String,
        _ endpoint: Endpoint,
        _ target: String,
        headers: [(name: String, value: String)] = [],
        body: consuming SecureBuffer
    ) {
        self.method = method
        self.endpoint = endpoint
        self.target = target
        self.headers = headers
        self.body = body
    }
}

/// Answer of a server.
package struct HTTPResponse: ~Copyable {
    /// The status.
    package let status: Int
    /// Headers, their names in lower case.
    package let headers: [String: String]
    /// The body.
    package let body: SecureBuffer

    /// Hands the body on.
    consuming func takeBody() -> SecureBuffer { body }

    /// Seconds to wait that the server names.
    package var retryAfter: Int? {
        headers["retry-after"].flatMap { Int($0) }.flatMap { $0 >= 0 ? min($0, 86_400) : nil }
    }
}

/// Makes requests.
package protocol HTTPTransport: Sendable {
    /// Sends a request and reads the answer; follows no redirect.
    ///
    /// - Parameters:
    ///   - request: the request.
    ///   - deadline: time by which to end, in milliseconds of `BootClock`.
    /// - Returns: the answer, whatever its status.
    /// - Throws: `unavailable`; `invalid` for an answer that is too large.
    func send(_ request: borrowing HTTPRequest, until deadline: Int64) throws(ProviderError) -> HTTPResponse
}

/// Text of headers.
enum HeaderText {
    /// Detects a text that can stand in a header: printable ASCII without spaces.
    static func isPlain(_ text: String) -> Bool { text.utf8.allSatisfy { (0x21...0x7e).contains($0) } }
}
