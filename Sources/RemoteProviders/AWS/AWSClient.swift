// SPDX-License-Identifier: Apache-2.0

internal import Sealing
internal import SecretProviders
internal import SecureMemory

/// Signed requests to one service of AWS.
struct AWSClient: Sendable {
    /// Name of the service for signatures and addresses.
    let service: String
    let region: String
    let endpoint: Endpoint
    let transport: any HTTPTransport
    /// Seconds since 1970.
    let clock: @Sendable () -> Int64

    /// Sends a signed request.
    ///
    /// - Parameters:
    ///   - body: the body.
    ///   - headers: headers beside those of the signature.
    ///   - keys: the keys.
    ///   - limit: the largest answer in bytes.
    ///   - deadline: time by which to end.
    /// - Returns: the answer.
    /// - Throws: what the transport throws.
    func post(
        _ body: consuming SecureBuffer,
        headers: [(name: String, value: String)],
        _ keys: AWSKeys,
        limit: Int,
        _ deadline: Int64
    ) throws(ProviderError) -> HTTPResponse {
        let time = AWSTime.text(clock())
        var signed = headers + [("Host", endpoint.authority), ("X-Amz-Date", time)]
        if let token = keys.sessionToken { signed.append(("X-Amz-Security-Token", token)) }
        let signer = SigV4(time: time, region: region, service: service)
        let request = SigV4.Request("POST", path: endpoint.path + "/", headers: signed)
        let authorization: String
        do throws(SealingError) {
            authorization = try body.withBytes { (body) throws(SealingError) in
                try keys.secretKey.withBytes { (key) throws(SealingError) in
                    try signer.authorization(request, body: body, accessKey: keys.accessKey, secretKey: key)
                }
            }
        } catch {
            throw ProviderError(.unavailable, "a request cannot be signed")
        }
        let sent = signed.filter { $0.name != "Host" } + [("Authorization", authorization)]
        var message = HTTPRequest("POST", endpoint, "/", headers: sent, body: body)
        message.limit = limit
        return try transport.send(message, until: deadline)
    }
}
