// SPDX-License-Identifier: Apache-2.0

package import PlaintextDocuments
package import SecretStore
internal import SecureFiles
internal import SystemCalls

/// Variables of this process, whose values are overwritten where they stand once they are sealed.
package final class EnvironmentSource: SecretSource {
    package let names: [ImportedName]

    /// Makes a source of variables that are set.
    package init(_ variables: [String]) {
        names = variables.map { ImportedName($0) }
    }

    package func seal(_ targets: [ImportTarget?], _ keys: StoreKeys, progress: (Int) -> Void) throws -> [String] {
        let sealer = try ValueSealer(keys)
        var values: [String] = []
        for (name, target) in zip(names, targets) {
            guard let target else { continue }
            let value = try EnvironmentVariables.take(name.text) { (value) throws(StoreError) in
                try sealer.seal(value, for: target)
            }
            values.append(value ?? "")
        }
        return values
    }
}

/// `env:NAME,PREFIX*`: variables that are set; a job does not inherit what was taken.
struct EnvironmentSourceType: SourceType {
    let scheme = "env"
    let location = "NAME,PREFIX*"
    /// They are overwritten where they stood.
    let isReadAgain = false
    let isPath = false

    func open(_ location: String, _ access: SourceAccess) throws -> any SecretSource {
        EnvironmentSource(try present(location))
    }

    func discard(_ location: String) throws {
        for name in try present(location) { EnvironmentVariables.take(name) { _ in } }
    }

    /// The variables of a location that are set.
    private func present(_ location: String) throws -> [String] {
        let patterns = location.split(separator: ",", omittingEmptySubsequences: false)
        guard patterns.allSatisfy({ !$0.isEmpty && $0 != "*" && !$0.contains("=") }) else {
            throw StoreError(
                .usage,
                "variables are named one by one or by a prefix",
                hint: "write it as env:API_TOKEN,APP_*"
            )
        }
        // A value may have any bytes; a name that is not UTF-8 cannot be meant.
        let present = EnvironmentVariables.rawEntries().compactMap { entry in
            String(validating: entry.prefix { $0 != UInt8(ascii: "=") }, as: UTF8.self)
        }
        var names: [String] = []
        for name in present where !name.isEmpty && !name.hasPrefix("CREDFS_") && !names.contains(name) {
            if patterns.contains(where: { Self.matches($0, name[...]) }) { names.append(name) }
        }
        return names
    }

    private static func matches(_ pattern: Substring, _ name: Substring) -> Bool {
        pattern.hasSuffix("*") ? name.hasPrefix(pattern.dropLast()) : name == pattern
    }
}
