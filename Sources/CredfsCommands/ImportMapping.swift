// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import PlaintextDocuments
internal import SecretStore

/// Options that choose values of a source, and the names of their secrets.
struct ImportMapping: ParsableArguments {
    @Option(
        help: ArgumentHelp("Take these names of the source and no others (separated by commas).", valueName: "names")
    )
    var only: [String] = []

    @Option(
        help: ArgumentHelp(
            "Rename a secret (repeatable, or with commas).",
            valueName: "old=new"
        )
    )
    var map: [String] = []

    @Option(help: ArgumentHelp("Remove this prefix from names.", valueName: "prefix"))
    var stripPrefix: String?

    @Option(help: ArgumentHelp("Add this prefix to names that --map does not give.", valueName: "prefix"))
    var prefix: String?

    @Option(help: ArgumentHelp("Make NAME a secret of a service, SERVICE.NAME.", valueName: "service"))
    var service: String?

    @Option(
        help: ArgumentHelp(
            "The values of these names of the source are Base64; seal what they stand for.",
            valueName: "names"
        )
    )
    var base64: [String] = []

    /// The secret for each name, or nil where it is left out.
    ///
    /// - Throws: status 11 if an option names what the source does not have, 17 if two values would be for one secret.
    func references(_ names: [ImportedName]) throws -> [SecretReference?] {
        for (option, text) in [("--prefix", prefix), ("--service", service)] where text?.contains("=") == true {
            throw CommandError.valueInArgument(option)
        }
        let known = Set(names.map(\.text))
        let renamed = try renames(known)
        let wanted = only.isEmpty ? nil : try list(only, "--only", known)
        var sources: [SecretName: String] = [:]
        return try names.map { name in
            guard !name.isNull, wanted?.contains(name.text) ?? true else { return nil }
            let text = renamed[name.text] ?? changed(name.text)
            guard let reference = SecretReference(text) else {
                throw CommandError(
                    .invalid,
                    "'\(name.text)' would get a bad name",
                    hint: service != nil && text.contains("/") && !text.hasPrefix("/")
                        ? "--service takes values that have no service yet" : SecretReference.rule
                )
            }
            if let other = sources.updateValue(name.text, forKey: reference.name) {
                throw CommandError(
                    .invalid,
                    "'\(other)' and '\(name.text)' would both be '\(reference.name.text)'",
                    hint: "give one another name with --map, or choose with --only"
                )
            }
            return reference
        }
    }

    /// Targets that the values are sealed for.
    func targets(_ names: [ImportedName], _ references: [SecretReference?]) throws -> [ImportTarget?] {
        let encoded = try list(base64, "--base64", Set(names.map(\.text)))
        return zip(names, references).map { name, reference in
            reference.map { ImportTarget($0.name, isBase64: encoded.contains(name.text)) }
        }
    }

    private func changed(_ name: String) -> String {
        var text = name
        if let stripPrefix, text.hasPrefix(stripPrefix) { text.removeFirst(stripPrefix.count) }
        if let prefix { text = prefix + text }
        return service.map { "\($0)/\(text)" } ?? text
    }

    private func renames(_ known: Set<String>) throws -> [String: String] {
        var renames: [String: String] = [:]
        let hasComma = known.filter { $0.contains(",") }
        for text in try ArgumentList.items(map, { hasComma.contains(String($0.prefix { $0 != "=" })) }) {
            guard let mark = text.firstIndex(of: "="),
                SecretReference(String(text[text.index(after: mark)...]))?.mayHoldValue == false
            else { throw CommandError(.usage, "--map takes OLD=NEW", hint: SecretReference.rule) }
            let old = String(text[..<mark])
            guard known.contains(old) else { throw Self.unknown(old, "--map") }
            renames[old] = String(text[text.index(after: mark)...])
        }
        return renames
    }

    private func list(_ arguments: [String], _ option: String, _ known: Set<String>) throws -> Set<String> {
        let names = try ArgumentList.items(arguments, known.contains)
        for name in names where !known.contains(name) { throw Self.unknown(name, option) }
        return Set(names)
    }

    private static func unknown(_ name: String, _ option: String) -> CommandError {
        CommandError(
            .noSuchSecret,
            name.contains("=") ? "there is nothing of that name to import" : "there is no '\(name)' to import",
            hint: "\(option) takes names as the source has them"
        )
    }
}
