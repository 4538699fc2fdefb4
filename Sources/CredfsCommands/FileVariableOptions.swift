// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Jobs
internal import SecretStore

/// Options for the variables with the paths of secrets.
struct FileVariableOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Name the variable that has the path of a secret (repeatable, or with commas).",
            valueName: "name=var"
        ),
        completion: SecretNameCompletion.list
    )
    var fileVar: [String] = []

    @Option(
        help: ArgumentHelp(
            "Which secrets have a variable with their path: all, none, or auto: all if they are 4096 or fewer.",
            valueName: "extent"
        ),
        completion: .list(FileVariables.Extent.allCases.map(\.rawValue))
    )
    var fileVars: String?

    func validate() throws {
        if let fileVars, FileVariables.Extent(rawValue: fileVars) == nil {
            throw ValidationError("--file-vars takes all, auto or none.")
        }
    }

    /// The variables that were named; `isName` tells a name with a comma from a list.
    func chosen(_ isName: (SecretName) -> Bool) throws -> [VariableAssignment] {
        try VariableAssignment.parse(fileVar, option: "--file-var", usual: nil, isName)
    }

    /// Assigns variables to secrets.
    ///
    /// - Parameters:
    ///   - secrets: the names, each once.
    ///   - chosen: what was named for some of them.
    ///   - warn: takes what is to be said where secrets get none.
    /// - Returns: the variables.
    /// - Throws: class `variables` for a clash.
    func variables(
        _ secrets: [SecretName],
        _ chosen: [VariableAssignment],
        warn: (String) -> Void
    ) throws(MountError) -> FileVariables {
        let extent = fileVars.flatMap(FileVariables.Extent.init) ?? .auto
        let named = Dictionary(chosen.map { ($0.secret, $0.variable) }) { $1 }
        let variables = try FileVariables(secrets, chosen: named, extent: extent)
        if extent == .auto && !extent.includes(count: secrets.count) {
            warn(
                "\(secrets.count) secrets are too many for a variable each: there is CREDENTIALS_DIRECTORY only "
                    + "(--file-vars=all insists, --file-vars=none says no more of it)"
            )
        }
        return variables
    }
}

extension FileVariableOptions: ScannedOptions {
    mutating func scan(_ scanner: inout OptionScanner) throws {
        fileVar = try scanner.values("file-var")
        fileVars = try scanner.value("file-vars")
        try validate()
    }
}
