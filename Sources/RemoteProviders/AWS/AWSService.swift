// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureMemory

/// Service of AWS that is asked in JSON.
final class AWSService: Sendable {
    /// Failure of a call: one that AWS answers, or another.
    enum Failure: Error {
        case answered(AWSFailure)
        case other(ProviderError)
    }

    private let client: AWSClient
    private let identity: AWSIdentity
    private let version: String
    private let target: String

    /// Makes one.
    ///
    /// - Parameters:
    ///   - client: sends.
    ///   - identity: has the keys.
    ///   - target: what the name of an operation follows.
    ///   - version: the version of JSON for AWS.
    init(_ client: AWSClient, _ identity: AWSIdentity, target: String, version: String) {
        self.client = client
        self.identity = identity
        self.target = target
        self.version = version
    }

    /// Calls an operation, once more with other keys where the first have ended.
    ///
    /// - Parameters:
    ///   - operation: its name.
    ///   - input: its input, which is no secret.
    ///   - limit: the largest answer in bytes.
    ///   - deadline: time by which to end.
    /// - Returns: the answer.
    /// - Throws: what failed.
    func call(_ operation: String, _ input: String, limit: Int, _ deadline: Int64) throws(Failure) -> SecretDocument {
        let headers = [
            (name: "Content-Type", value: "application/x-amz-json-\(version)"),
            (name: "X-Amz-Target", value: "\(target).\(operation)"),
        ]
        var hasRenewed = false
        while true {
            let answer: Result<SecretDocument, AWSFailure>
            do throws(ProviderError) {
                let keys = try identity.keys(until: deadline)
                let response = try client.post(
                    try SecureBuffer.copying(input),
                    headers: headers,
                    keys,
                    limit: limit,
                    deadline
                )
                answer = try Self.read(response)
                if case .failure(let failure) = answer, failure.concernsKeys, !hasRenewed {
                    hasRenewed = true
                    identity.forget(keys)
                    // Those of the environment of this process are the same for ever.
                    if try identity.keys(until: deadline) !== keys { continue }
                }
            } catch { throw .other(error) }
            do throws(AWSFailure) { return try answer.get() } catch { throw .answered(error) }
        }
    }

    private static func read(
        _ response: consuming HTTPResponse
    ) throws(ProviderError) -> Result<SecretDocument, AWSFailure> {
        guard response.status == 200 else { return .failure(AWSFailure(response)) }
        guard let document = SecretDocument(response.takeBody()) else {
            throw ProviderError(.invalid, "the answer is not JSON")
        }
        return .success(document)
    }
}
