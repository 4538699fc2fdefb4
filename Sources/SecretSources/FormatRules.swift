// SPDX-License-Identifier: Apache-2.0

internal import SecretStore

/// Formats that the store says of its secrets, which hold for a value of another source, too.
struct FormatRules {
    private(set) var formats: [SecretName: SecretEntry.Format] = [:]

    /// Takes the formats of the secrets of a store.
    init(_ secrets: SecretSet) {
        for entry in secrets.entries { formats[entry.name] = entry.format }
    }

    /// Checks the values of a source.
    ///
    /// - Throws: class `invalid`, naming source, secret and format only.
    func check(_ entries: [SecretEntry], _ keys: StoreKeys, _ address: SourceAddress) throws(StoreError) {
        guard !formats.isEmpty else { return }
        var cipher = try keys.valueCipher()
        for entry in entries {
            guard let format = formats[entry.name], case .sealed(let value) = entry.value else { continue }
            let content = try cipher.open(value, as: entry.name)
            do throws(StoreError) { try format.check(content, of: entry.name) } catch {
                throw StoreError(error.code, "\(address.type.scheme): \(error.message)", hint: error.hint)
            }
        }
    }
}
