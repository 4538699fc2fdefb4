// SPDX-License-Identifier: Apache-2.0

package import SecretProviders
internal import SecureMemory
internal import SystemCalls

/// Surroundings that say which keys of AWS are meant: variables, and files of profiles.
package final class AWSEnvironment: Sendable {
    private let variables: @Sendable (String) -> String?
    /// Keys of the variables.
    let keys: AWSKeys?
    private let containerToken: HeldText?

    /// Makes one.
    ///
    /// - Parameters:
    ///   - keys: keys of the variables.
    ///   - variables: finds the value of any other variable.
    package init(keys: AWSKeys?, variables: @escaping @Sendable (String) -> String?) {
        self.keys = keys
        self.variables = variables
        containerToken = nil
    }

    private init(keys: AWSKeys?, containerToken: HeldText?) {
        self.keys = keys
        self.containerToken = containerToken
        variables = { EnvironmentVariables.value($0) }
    }

    /// Takes key and tokens out of the environment of this process; once, at its start.
    ///
    /// - Returns: the surroundings.
    /// - Throws: where there is no memory for them.
    package static func takingKey() throws(ProviderError) -> AWSEnvironment {
        let secretKey = try EnvironmentVariables.take("AWS_SECRET_ACCESS_KEY") { (value) throws(ProviderError) in
            try SecureBuffer.copying(value)
        }
        let name = EnvironmentVariables.value("AWS_ACCESS_KEY_ID") ?? ""
        let tokens = (try HeldText.taking("AWS_SESSION_TOKEN"), try HeldText.taking("AWS_SECURITY_TOKEN"))
        let token = (tokens.0 ?? tokens.1)?.text
        var keys: AWSKeys?
        if let secretKey, secretKey.count > 0, !name.isEmpty {
            guard HeaderText.isPlain(name), token.map(HeaderText.isPlain) ?? true else {
                throw ProviderError(.denied, "AWS_ACCESS_KEY_ID or AWS_SESSION_TOKEN has what no header can have")
            }
            keys = try AWSKeys(accessKey: name, secretKey: secretKey, sessionToken: token)
        }
        return AWSEnvironment(keys: keys, containerToken: try HeldText.taking(containerTokenName))
    }

    private static let containerTokenName = "AWS_CONTAINER_AUTHORIZATION_TOKEN"

    /// What a container shows to be let in, where a variable has it.
    var tokenOfContainer: String? { containerToken?.text ?? self[Self.containerTokenName] }

    /// The value of a variable; nil where it is not set, or empty.
    subscript(_ name: String) -> String? {
        guard let value = variables(name), !value.isEmpty else { return nil }
        return value
    }

    /// The value of a variable is `true`.
    func isTrue(_ name: String) -> Bool { self[name]?.lowercased() == "true" }

    /// The name of the profile that a variable names.
    var profile: String? { self["AWS_PROFILE"] ?? self["AWS_DEFAULT_PROFILE"] }

    /// The file of credentials, read anew; nil where there is none.
    func credentialsFile() throws(ProviderError) -> AWSConfigFile? {
        try file(self["AWS_SHARED_CREDENTIALS_FILE"], "credentials")
    }

    /// The file of profiles, read anew; nil where there is none.
    func configFile() throws(ProviderError) -> AWSConfigFile? {
        try file(self["AWS_CONFIG_FILE"], "config")
    }

    private func file(_ named: String?, _ usual: String) throws(ProviderError) -> AWSConfigFile? {
        guard let home = self["HOME"] ?? named.map({ _ in "/" }) else { return nil }
        var path = named ?? "\(home)/.aws/\(usual)"
        if path.hasPrefix("~/") { path = home + path.dropFirst(1) }
        guard let text = try read(path, limit: AWSConfigFile.limit) else { return nil }
        return AWSConfigFile(text)
    }

    /// Reads a file into locked memory.
    ///
    /// - Returns: nil where there is none, or it is no file (`/dev/null`).
    /// - Throws: `denied` for one that others could have written, or that cannot be read.
    func read(_ path: String, limit: Int) throws(ProviderError) -> SecureBuffer? {
        try RemoteFile.read(path, limit: limit, isStrict: self["CREDFS_PERMISSIONS_STRICT"] != "0")
    }
}
