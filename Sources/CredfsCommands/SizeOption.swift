// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import SecretStore

/// The largest value that is taken or shown.
struct SizeOption: ParsableArguments {
    @Option(help: ArgumentHelp("The largest value in bytes, up to 16777216.", valueName: "bytes"))
    var maxSize = Manifest.usualSecretByteCount

    func validate() throws {
        guard (1...Manifest.maximumSecretByteCount).contains(maxSize) else {
            throw ValidationError("--max-size must be 1 to \(Manifest.maximumSecretByteCount).")
        }
    }

    /// Refuses the first secret whose value is larger; what is rendered is measured where it is bound.
    func check(_ entries: [SecretEntry]) throws(StoreError) {
        for entry in entries {
            guard case .sealed(let value) = entry.value, value.ciphertext.count > maxSize else { continue }
            throw StoreError(
                .invalid,
                "the value of '\(entry.name.text)' is larger than \(maxSize) bytes",
                hint: "allow it with --max-size"
            )
        }
    }
}

extension SizeOption: ScannedOptions {
    mutating func scan(_ scanner: inout OptionScanner) throws {
        maxSize = try scanner.value("max-size") ?? Manifest.usualSecretByteCount
        try validate()
    }
}
