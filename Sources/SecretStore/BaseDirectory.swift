// SPDX-License-Identifier: Apache-2.0

/// Directory of a user for files of one kind (XDG Base Directory Specification).
enum BaseDirectory {
    case configuration
    case state

    /// Its path: that of its variable, else the usual one below HOME; nil where there is neither.
    func path(_ environment: (String) -> String?) -> String? {
        let (variable, usual) =
            switch self {
            case .configuration: ("XDG_CONFIG_HOME", ".config")
            case .state: ("XDG_STATE_HOME", ".local/state")
            }
        // The specification has relative paths ignored.
        if let directory = environment(variable), directory.hasPrefix("/") { return directory }
        return environment("HOME").flatMap { $0.isEmpty ? nil : "\($0)/\(usual)" }
    }
}
