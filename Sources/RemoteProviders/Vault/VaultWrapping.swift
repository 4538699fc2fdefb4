// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureJSON
internal import Synchronization

/// Answer of Vault that waits behind a wrapping token, which opens it once.
///
/// What was opened is kept in locked memory, since nobody can ask for it again.
final class VaultWrapping: Sendable {
    private let read: @Sendable () throws(ProviderError) -> String
    private let opened = Mutex<(token: HeldText, content: SecretDocument)?>(nil)

    /// Makes one that nothing has opened.
    ///
    /// - Parameter read: reads the wrapping token.
    init(_ read: @escaping @Sendable () throws(ProviderError) -> String) {
        self.read = read
    }

    /// The wrapping token is another one than was opened.
    var hasAnother: Bool {
        guard let token = try? read() else { return false }
        return opened.withLock { $0?.token.text != token }
    }

    /// Opens what the present token has wrapped, or finds what it had.
    ///
    /// - Parameters:
    ///   - requests: reach the server.
    ///   - deadline: time by which to end.
    ///   - isMeant: judge of the path whose answer was wrapped: somebody could have put another token in place of ours.
    /// - Returns: the answer.
    /// - Throws: `denied` for a token that somebody has used, that has ended or has wrapped something else.
    func content(
        _ requests: VaultRequests,
        _ deadline: Int64,
        isMeant: (String) -> Bool
    ) throws(ProviderError) -> SecretDocument {
        let token = try VaultLease(try read(), now: 0).token
        if let known = opened.withLock({ $0 }), known.token.text == token { return known.content }
        let facts = try answer(try requests.post("sys/wrapping/lookup", ["token": .string(token)], deadline))
        guard let data = facts.member("data", of: facts.root), let path = facts.text("creation_path", of: data) else {
            throw ProviderError(.invalid, "the answer of Vault does not say what is wrapped")
        }
        guard isMeant(path) else {
            throw ProviderError(
                .denied,
                "the wrapping token has wrapped something else",
                hint: "nobody has opened it; find out who has put it there"
            )
        }
        let held = try HeldText(token.utf8.span)
        let content = try answer(try requests.post("sys/wrapping/unwrap", token: token, deadline))
        opened.withLock { $0 = (held, content) }
        return content
    }

    private func answer(_ response: consuming HTTPResponse) throws(ProviderError) -> SecretDocument {
        let status = response.status
        guard status != 400, status != 403, status != 404 else {
            throw ProviderError(
                .denied,
                "the wrapping token was used, or has ended",
                hint: "each opens once: get another; if it was used before its time, somebody else has what it had"
            )
        }
        guard status == 200 else { throw VaultRequests.error(response) }
        guard let document = SecretDocument(response.takeBody()) else {
            throw ProviderError(.invalid, "the answer is not JSON")
        }
        return document
    }
}
