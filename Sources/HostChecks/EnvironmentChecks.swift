// SPDX-License-Identifier: Apache-2.0

/// Checks of the environment: values of known services in it, where every program that is started from there finds
/// them.
package enum EnvironmentChecks {
    /// Looks for the names; no value is read.
    package static func run(_ host: HostView) -> Finding {
        let found = VariablePreset.all.map { preset in
            (preset.name, preset.variables.filter { $0.isSecret && host.calls.isSet($0.name) }.map(\.name))
        }
        let names = found.flatMap(\.1)
        guard !names.isEmpty else { return .ok(.environment, "no secret of a known service") }
        let presets = found.filter { !$0.1.isEmpty }.map(\.0).joined(separator: ",")
        return .warning(
            .environment,
            "every program that is started reads \(names.joined(separator: ", "))",
            fix: "credfs import --preset \(presets), then take them out of the files that set them"
        )
    }
}
