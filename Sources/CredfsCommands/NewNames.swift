// SPDX-License-Identifier: Apache-2.0

internal import Jobs
internal import SecretStore

/// Checks of names that a store does not have yet.
enum NewNames {
    /// Checks that `run` can give every secret a variable of its own, as far as that depends on new names.
    ///
    /// - Throws: class `invalid` with both names.
    static func requireDistinctVariables(_ names: [SecretName], since old: [SecretName]) throws(StoreError) {
        guard FileVariables.Extent.auto.includes(count: names.count) else { return }
        let new = Set(names).subtracting(old)
        guard !new.isEmpty else { return }
        if let name = new.sorted().first(where: { VariableName(ofFileWith: $0).isReserved }) {
            throw StoreError(
                .invalid,
                "'\(name.text)' would have the variable \(VariableName(ofFileWith: name).text), which is for credfs itself",
                hint: "choose another name"
            )
        }
        var owners: [VariableName: SecretName] = [:]
        for name in names.sorted() {
            let variable = VariableName(ofFileWith: name)
            guard let other = owners.updateValue(name, forKey: variable), new.contains(name) || new.contains(other)
            else { continue }
            throw StoreError(
                .invalid,
                FileVariables.clash(other, name, variable),
                hint: "a new name has to differ in more than case and punctuation"
            )
        }
    }

    /// Checks the names that a document has brought, and warns of what may be `NAME=VALUE`.
    static func check(_ manifest: Manifest, since old: Manifest?, _ context: CommandContext) throws(StoreError) {
        let (names, known) = (manifest.secrets.map(\.name), old?.secrets.map(\.name) ?? [])
        try requireDistinctVariables(names, since: known)
        let new = Set(names.filter { $0.text.contains("=") }).subtracting(known).sorted()
        guard !new.isEmpty else { return }
        let shown = Names.abbreviated(new.map(\.shown))
        context.console.warning("new names with '=': \(shown); a name is not sealed: delete what is a value")
    }
}
