// SPDX-License-Identifier: Apache-2.0

package import SecretProviders
internal import SecureMemory

/// Profiles of both files; of a key that both have, that of the credentials counts.
package struct AWSProfiles: Sendable {
    private let credentials: AWSConfigFile?
    private let config: AWSConfigFile?

    /// Makes them of what was read.
    package init(credentials: AWSConfigFile?, config: AWSConfigFile?) {
        self.credentials = credentials
        self.config = config
    }

    /// Reads both files anew.
    ///
    /// - Throws: `denied` for a file that cannot be read, or that others could have written.
    init(_ environment: AWSEnvironment) throws(ProviderError) {
        self.init(credentials: try environment.credentialsFile(), config: try environment.configFile())
    }

    /// There is such a profile.
    package func has(_ profile: String) -> Bool {
        credentials?.has(profile) == true || Self.sections(profile).contains { config?.has($0) == true }
    }

    /// A setting of a profile that is not secret.
    package func text(_ key: String, of profile: String) -> String? {
        if let text = credentials?.text(key, in: profile) { return text }
        for section in Self.sections(profile) {
            if let text = config?.text(key, in: section) { return text }
        }
        return nil
    }

    /// The keys that stand in a profile; nil where it has none.
    ///
    /// - Throws: where there is no memory for the key, or no header can have its name.
    package func keys(of profile: String) throws(ProviderError) -> AWSKeys? {
        // All of them from one file.
        let files: [(AWSConfigFile?, [String])] = [(credentials, [profile]), (config, Self.sections(profile))]
        for (file, sections) in files {
            for section in sections {
                guard let file, let name = file.text("aws_access_key_id", in: section),
                    let secret = try file.secret("aws_secret_access_key", in: section)
                else { continue }
                let token = file.text("aws_session_token", in: section)
                guard HeaderText.isPlain(name), token.map(HeaderText.isPlain) ?? true else {
                    throw ProviderError(
                        .denied,
                        "the AWS profile '\(profile)' has a key id or token that no header can have"
                    )
                }
                return try AWSKeys(accessKey: name, secretKey: secret, sessionToken: token)
            }
        }
        return nil
    }

    private static func sections(_ profile: String) -> [String] {
        profile == "default" ? ["default", "profile default"] : ["profile \(profile)"]
    }
}
