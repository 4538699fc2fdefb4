// SPDX-License-Identifier: Apache-2.0

internal import CCurl
package import SecretProviders
internal import SecureMemory
internal import SystemCalls

/// Requests by libcurl, a handle for each, so that nothing of one is left for the next.
///
/// Certificates are always verified, redirects are never followed, and only the scheme of the endpoint is spoken. Values arrive
/// in a `SecureBuffer`; libcurl and libcrypto have copies on their way, in memory that the allocator overwrites when it is freed.
package final class CurlTransport: HTTPTransport {
    /// The largest head of an answer in bytes.
    private static let headLimit = 1 << 16
    private static let isReady = credfs_curl_global_init() == CURLE_OK

    private let authorities: String?
    private let authoritiesVariable: String
    private let agent: String
    private let asker: Int32

    /// Makes a transport.
    ///
    /// - Parameters:
    ///   - agent: how it names itself to servers.
    ///   - authorities: a file of certificates to trust instead of those of the machine.
    ///   - authoritiesVariable: the variable that names such a file, for messages.
    ///   - asker: a descriptor that can be read once nobody waits for the answer; -1 for none.
    package init(
        agent: String,
        authorities: String? = nil,
        authoritiesVariable: String = "AWS_CA_BUNDLE",
        asker: Int32 = -1
    ) {
        self.authoritiesVariable = authoritiesVariable
        self.agent = agent
        self.authorities = authorities
        self.asker = asker
    }

    package func send(
        _ request: borrowing HTTPRequest,
        until deadline: Int64
    ) throws(ProviderError) -> HTTPResponse {
        let rest = deadline - BootClock.milliseconds()
        guard rest > 0 else { throw ProviderError(.unavailable, "there was no time left for a request") }
        guard Self.isReady, let handle = unsafe curl_easy_init() else { throw failure(CURLE_FAILED_INIT) }
        defer { unsafe curl_easy_cleanup(handle) }
        let host = request.endpoint.host
        let arrival = Arrival(limit: request.limit, headLimit: Self.headLimit, asker: asker)
        let context = unsafe Unmanaged.passUnretained(arrival)
        let endpoint = request.endpoint
        unsafe try set(handle, CURLOPT_URL, endpoint.origin + endpoint.path + request.target)
        unsafe try set(handle, CURLOPT_PROTOCOLS_STR, endpoint.isEncrypted ? "https" : "http")
        unsafe try set(handle, CURLOPT_CUSTOMREQUEST, request.method)
        unsafe try set(handle, CURLOPT_USERAGENT, agent)
        // A plain request goes to this machine or its neighbour, and through nobody else's.
        if !endpoint.isEncrypted { unsafe try set(handle, CURLOPT_NOPROXY, "*") }
        if let authorities { unsafe try set(handle, CURLOPT_CAINFO, authorities) }
        let numbers: [(CURLoption, Int)] = [
            (CURLOPT_NOSIGNAL, 1), (CURLOPT_FOLLOWLOCATION, 0), (CURLOPT_SSL_VERIFYPEER, 1),
            (CURLOPT_SSL_VERIFYHOST, 2), (CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2)),
            (CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1)), (CURLOPT_TIMEOUT_MS, Int(rest)),
            (CURLOPT_CONNECTTIMEOUT_MS, Int(min(rest, request.connectTimeout ?? rest))),
            (CURLOPT_HTTPGET, request.body.count == 0 ? 1 : 0),
        ]
        for (option, value) in numbers where option != CURLOPT_HTTPGET || value == 1 {
            try check(unsafe credfs_curl_set_number(handle, option, value))
        }
        var list: UnsafeMutablePointer<curl_slist>?
        defer { unsafe curl_slist_free_all(list) }
        // What libcurl would add by itself is not signed, and a wait for `100 Continue` is time.
        let headers = request.headers + [("Host", endpoint.authority)]
        for line in headers.map({ "\($0.name): \($0.value)" }) + ["Accept-Encoding:", "Expect:"] {
            guard line.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else {
                throw ProviderError(.invalid, "a header cannot have line breaks in it")
            }
            guard let longer = unsafe curl_slist_append(list, line) else { throw failure(CURLE_OUT_OF_MEMORY) }
            unsafe list = longer
        }
        if let bearer = request.bearer {
            guard let longer = unsafe try Self.append(bearer, to: list) else { throw failure(CURLE_OUT_OF_MEMORY) }
            unsafe list = longer
        }
        try check(unsafe credfs_curl_set_list(handle, CURLOPT_HTTPHEADER, list))
        unsafe try check(
            credfs_curl_set_sinks(handle, Self.takeHeader, Self.takeBody, Self.watch, context.toOpaque())
        )
        let code = try request.body.withBytes { (bytes) throws(ProviderError) in
            unsafe try bytes.withUnsafeBytes { (body) throws(ProviderError) in
                if body.count > 0 {
                    try check(unsafe credfs_curl_set_body(handle, body.baseAddress, body.count))
                }
                return withExtendedLifetime(arrival) { unsafe curl_easy_perform(handle) }
            }
        }
        if let error = arrival.error { throw error }
        guard code == CURLE_OK else { throw failure(code, host) }
        return HTTPResponse(
            status: unsafe credfs_curl_status(handle),
            headers: arrival.headers,
            body: try arrival.takeBody()
        )
    }

    /// Adds the header of a token to a list, which has a copy of it until the request has ended.
    private static func append(
        _ token: BearerToken,
        to list: UnsafeMutablePointer<curl_slist>?
    ) throws(ProviderError) -> UnsafeMutablePointer<curl_slist>? {
        let start = Array("Authorization: Bearer ".utf8)
        let line = try token.bytes.withBytes { (token) throws(ProviderError) in
            try SecureBuffer.made(capacity: start.count + token.count + 1) { (line) in
                for index in start.indices { line[index] = start[index] }
                for index in token.indices { line[start.count + index] = token[index] }
                line[start.count + token.count] = 0
                return line.count
            }
        }
        return unsafe line.withBytes { bytes in
            unsafe bytes.withUnsafeBytes { text in
                unsafe curl_slist_append(list, text.baseAddress?.assumingMemoryBound(to: CChar.self))
            }
        }
    }

    private static let takeHeader: credfs_curl_sink = { bytes, _, count, context in
        guard let context = unsafe context, let bytes = unsafe bytes else { return 0 }
        // SAFETY: the context is the arrival, which lives as long as the request; there are `count` bytes.
        let arrival = unsafe Unmanaged<Arrival>.fromOpaque(context).takeUnretainedValue()
        let line = unsafe UnsafeRawBufferPointer(start: bytes, count: count)
        return unsafe arrival.takeHeader(Array(line)) ? count : 0
    }

    private static let takeBody: credfs_curl_sink = { bytes, _, count, context in
        guard let context = unsafe context, let bytes = unsafe bytes else { return 0 }
        // SAFETY: as above.
        let arrival = unsafe Unmanaged<Arrival>.fromOpaque(context).takeUnretainedValue()
        let part = unsafe UnsafeBufferPointer(start: bytes, count: count)
        return unsafe part.withMemoryRebound(to: UInt8.self) { unsafe arrival.append($0.span) } ? count : 0
    }

    private static let watch: credfs_curl_watch = { context, _, _, _, _ in
        guard let context = unsafe context else { return 1 }
        // SAFETY: as above.
        return unsafe Unmanaged<Arrival>.fromOpaque(context).takeUnretainedValue().isWanted ? 0 : 1
    }

    private func set(_ handle: UnsafeMutableRawPointer, _ option: CURLoption, _ text: String)
        throws(ProviderError)
    {
        try check(unsafe credfs_curl_set_text(handle, option, text))
    }

    private func check(_ code: CURLcode) throws(ProviderError) {
        guard code == CURLE_OK else { throw failure(code) }
    }

    /// The error of a request that came to nothing, without what was sent or received.
    private func failure(_ code: CURLcode, _ host: String = "the server") -> ProviderError {
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST:
            ProviderError(.unavailable, "\(host) has no address", hint: "check region, endpoint and name service")
        case CURLE_COULDNT_CONNECT: ProviderError(.unavailable, "\(host) cannot be reached")
        case CURLE_OPERATION_TIMEDOUT: ProviderError(.unavailable, "\(host) did not answer in time")
        case CURLE_PEER_FAILED_VERIFICATION:
            ProviderError(
                .unavailable,
                "the certificate of \(host) is not trusted",
                hint: "a certificate authority of your own is named by \(authoritiesVariable)"
            )
        case CURLE_SSL_CACERT_BADFILE: ProviderError(.unavailable, "the file of \(authoritiesVariable) cannot be read")
        case CURLE_PARTIAL_FILE, CURLE_RECV_ERROR, CURLE_GOT_NOTHING:
            ProviderError(.unavailable, "the answer of \(host) was cut off")
        case CURLE_ABORTED_BY_CALLBACK: ProviderError(.unavailable, "nobody waits for \(host) any more")
        default:
            ProviderError(.unavailable, "\(host): \(unsafe String(cString: curl_easy_strerror(code)))")
        }
    }
}
