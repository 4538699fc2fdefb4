// SPDX-License-Identifier: Apache-2.0

internal import SecretStore
internal import SecureFiles

/// `ssm:/PATH` and `ssm:NAME`: parameters of AWS Systems Manager (Parameter Store).
struct ParameterSourceType: AWSSourceType {
    let scheme = "ssm"
    let location = "/PATH[?names=NAMES]"
    let batchLimit = 10
    let requestsPerSecond: Double? = 10

    /// A path begins with a slash; everything else is the name of one parameter.
    func prefix(of location: String) -> String? {
        guard location.hasPrefix("/") else { return nil }
        return location.hasSuffix("/") ? location : location + "/"
    }
}

/// `secretsmanager:PREFIX/` and `secretsmanager:NAME`: secrets of AWS Secrets Manager.
struct SecretsManagerSourceType: AWSSourceType {
    let scheme = "secretsmanager"
    let location = "PREFIX/[?names=NAMES]"
    let batchLimit = 20
    let requestsPerSecond: Double? = 20

    /// A prefix ends with a slash; one that is nothing else stands for every name, and lists none.
    func prefix(of location: String) -> String? {
        guard location.hasSuffix("/") else { return nil }
        return location == "/" ? "" : location
    }
}

/// Kind of source that credfs-remote asks AWS for.
protocol AWSSourceType: AskedSourceType {
    /// What the names of secrets are below; nil where the location is one secret.
    func prefix(of location: String) -> String?
}

extension AWSSourceType {
    var attempts: Int { 4 }
    var ownKeys: [String] { ["region", "profile", "endpoint"] }
    var namesHaveIDs: Bool { true }

    func complete(_ settings: inout AskedSettings, _ location: String) throws(StoreError) {
        if let prefix = prefix(of: location) {
            guard !prefix.isEmpty || settings.names != nil else {
                throw StoreError(.usage, "\(scheme):/ takes names", hint: "\(scheme):/?names=NAME,NAME=ID")
            }
            return
        }
        guard settings.names == nil else {
            throw StoreError(
                .usage,
                "names are for a path, and the source is one secret",
                hint: "\(scheme):/?names=NAME=ID, with an id for each that is not its name"
            )
        }
        // `ID[:VERSION][#MEMBER]`, of which the last part of the id is the name.
        let id = location.prefix { $0 != "#" }
        let last = id.split(separator: "/").last?.prefix { $0 != ":" } ?? ""
        guard !location.hasPrefix("arn:"), let name = SecretReference(String(last))?.name else {
            throw StoreError(
                .usage,
                "the secret needs a name",
                hint: "\(scheme):/?names=NAME=ID"
            )
        }
        settings.names = [name]
        settings.ids[name] = location
    }

    func command(
        _ location: String,
        _ settings: AskedSettings,
        limit: Int,
        _ checker: PermissionChecker
    ) throws(StoreError) -> ProviderClient.Command {
        try RemoteProgramFile.command(scheme, prefix(of: location) ?? "", settings, limit: limit, checker)
    }
}
