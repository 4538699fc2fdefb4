// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Glibc
internal import SecretStore
internal import SecureFiles
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// Options for a password.
struct PasswordOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Read the password from a file (CREDFS_PASSWORD_FILE).", valueName: "file"),
        completion: .file(),
        transform: PathArgument.parse
    )
    var passwordFile: String?

    @Option(help: ArgumentHelp("Read the password from an open descriptor.", valueName: "number"))
    var passwordFd: Int32?

    /// A flag names a password.
    var isGiven: Bool { passwordFile != nil || passwordFd != nil }

    func validate() throws {
        if passwordFile != nil && passwordFd != nil { throw ValidationError("name one password, not several.") }
    }

    /// Detects a variable that names one.
    static func isGivenByVariable(_ context: CommandContext) -> Bool {
        context.hasSecret("CREDFS_PASSWORD") || context.path("CREDFS_PASSWORD_FILE") != nil
            || context.path("CREDFS_PASSWORD_CMD") != nil
    }

    /// The password that a flag names.
    func given(_ context: CommandContext, _ checker: PermissionChecker) throws -> SecureBuffer {
        if let passwordFile { return try Self.password(inFile: context.located(passwordFile), checker) }
        guard let passwordFd else { throw CommandError(.usage, "no password was named") }
        return try Self.password(fromDescriptor: passwordFd)
    }

    static func password(fromDescriptor number: Int32) throws -> SecureBuffer {
        try withoutNewline(
            InheritedDescriptor.read(number, limit: Store.maximumKeyFileByteCount),
            "descriptor \(number)"
        )
    }

    /// The password that a variable names, or the answer to a question.
    static func givenByVariableOrAsked(_ context: CommandContext, _ store: StoreLocation) throws -> SecureBuffer {
        if let password = try givenByVariable(context, context.checker) { return password }
        return try PasswordPrompt.ask("password for \(store.manifest ?? store.directory): ")
    }

    /// The password that a variable names.
    static func givenByVariable(
        _ context: CommandContext,
        _ checker: PermissionChecker
    ) throws -> SecureBuffer? {
        if let password = context.secrets.take("CREDFS_PASSWORD") {
            // No guess: it would count, and a fork of a repository would lock out everybody.
            guard password.count > 0 else {
                throw CommandError(
                    .incorrectPassword,
                    "the variable CREDFS_PASSWORD holds an empty password",
                    hint:
                        "CI systems leave the secrets of a fork empty: there, use credfs verify --no-key; else unset it"
                )
            }
            return password
        }
        if let path = context.path("CREDFS_PASSWORD_FILE") {
            return try password(inFile: context.located(path), checker)
        }
        if let command = context.path("CREDFS_PASSWORD_CMD") { return try password(ofCommand: command, context) }
        return nil
    }

    static func password(inFile path: String, _ checker: PermissionChecker) throws -> SecureBuffer {
        try withoutNewline(Store.readSecretFile(path, checker), path)
    }

    /// Runs a command in the shell and takes its output.
    private static func password(ofCommand command: String, _ context: CommandContext) throws -> SecureBuffer {
        let origin = "the command in CREDFS_PASSWORD_CMD"
        // What comes on standard input may be a value that is to be sealed: only a terminal is for the command.
        let nothing = try StoreError.wrapping("start", origin) { () throws(Errno) in
            try OwnedDescriptor.open("/dev/null", O_RDONLY)
        }
        let output = try StoreError.wrapping("start", origin) { () throws(Errno) in try OwnedDescriptor.pipe() }
        let child = try StoreError.wrapping("start", origin) { () throws(Errno) in
            try ChildProcess(
                "/bin/sh",
                arguments: ["sh", "-c", command],
                environment: SecretVariables.environmentForChildren(),
                descriptors: [(0, isatty(0) == 1 ? 0 : nothing.number), (1, output.write.number), (2, 2)]
            )
        }
        let read = output.ends { (read, _) in read }
        let password = try StoreDirectory.readSecret(read, origin, limit: Store.maximumKeyFileByteCount)
        let exit = try StoreError.wrapping("wait for", origin) { () throws(Errno) in try child.wait() }
        guard exit == .status(0) else {
            throw CommandError(.failed, "\(origin) failed", hint: "run it by hand to see why")
        }
        return try withoutNewline(password, origin)
    }

    /// Takes one newline from the end, which editors and `echo` put there.
    private static func withoutNewline(_ text: consuming SecureBuffer, _ origin: String) throws -> SecureBuffer {
        let count = text.count
        if count > 0, text.withBytes({ $0[count - 1] == UInt8(ascii: "\n") }) { text.setCount(count - 1) }
        guard text.count > 0 else { throw CommandError(.incorrectPassword, "\(origin) holds an empty password") }
        return text
    }
}

extension PasswordOptions: ScannedOptions {
    mutating func scan(_ scanner: inout OptionScanner) throws {
        passwordFile = try scanner.path("password-file")
        passwordFd = try scanner.value("password-fd")
        try validate()
    }
}
