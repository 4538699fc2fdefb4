// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import SecretStore
internal import SecureMemory

/// Options for a new password, which is asked for twice unless they name it.
///
/// Apart from the options that open a store, since both may be needed.
struct NewPasswordOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Read the new password from a file.", valueName: "file"),
        completion: .file(),
        transform: PathArgument.parse
    )
    var newPasswordFile: String?

    @Option(help: ArgumentHelp("Read the new password from an open descriptor.", valueName: "number"))
    var newPasswordFd: Int32?

    /// A flag names it.
    var isGiven: Bool { newPasswordFile != nil || newPasswordFd != nil }

    func validate() throws {
        if newPasswordFile != nil && newPasswordFd != nil {
            throw ValidationError("name one new password, not several.")
        }
    }

    /// The new password, which is neither short nor trivial.
    func password(_ store: Store) throws -> SecureBuffer {
        let password =
            if let newPasswordFile {
                try PasswordOptions.password(inFile: newPasswordFile, store.checker)
            } else if let newPasswordFd {
                try PasswordOptions.password(fromDescriptor: newPasswordFd)
            } else {
                try NewPassword.ask(store.location)
            }
        try NewPassword.refuseWeak(password)
        return password
    }
}

/// Checks that every new password passes.
enum NewPassword {
    /// Asks twice.
    static func ask(_ location: StoreLocation) throws -> SecureBuffer {
        try PasswordPrompt.askTwice(
            "new password for \(location.manifest ?? location.directory): ",
            again: "the same password again: ",
            limit: Store.maximumKeyFileByteCount
        )
    }

    /// Refuses one that is short or trivial.
    static func refuseWeak(_ password: borrowing SecureBuffer) throws {
        if let objection = password.withBytes({ PasswordRules.objection(to: $0) }) {
            throw CommandError(.usage, objection, hint: "a few random words make a good password")
        }
    }
}
