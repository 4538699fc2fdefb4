// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureMemory

/// Provider that could not be made: says why, whatever it is asked.
final class FailedProvider: SecretProvider {
    let batchLimit = 1
    private let error: ProviderError

    init(_ error: ProviderError) {
        self.error = error
    }

    func list(until deadline: Int64) throws(ProviderError) -> [String]? { throw error }

    func fetch(
        _ names: [String],
        until deadline: Int64,
        answer: (String, consuming Result<SecureBuffer, ProviderError>) -> Void
    ) {
        for name in names { answer(name, .failure(error)) }
    }
}
