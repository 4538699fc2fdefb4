// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
internal import SecretProviders
internal import SystemCalls
internal import SystemPackage

/// Process that asks a server on the network for secrets: the program credfs-remote, which credfs starts.
///
/// It has no key of a store, and reads none. Requests come on descriptor 0 and answers leave on descriptor 1.
package enum RemoteProgram {
    /// Status of wrong arguments (EX_USAGE).
    private static let usage: Int32 = 64

    /// Arguments: the kind of source, the largest value in bytes, the location, then settings as `KEY=VALUE`, with
    /// `name:NAME=ID` for a name that stands for something else.
    struct Arguments {
        let scheme: String
        let limit: Int
        let location: String
        var settings: [String: String] = [:]
        var ids: [String: String] = [:]

        /// Reads arguments behind the name of the program.
        ///
        /// - Returns: nil for what is no such list.
        init?(_ words: ArraySlice<String>) {
            let words = Array(words)
            guard words.count >= 3, let limit = Int(words[1]), limit > 0 else { return nil }
            scheme = words[0]
            self.limit = limit
            location = words[2]
            for word in words.dropFirst(3) {
                let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2 else { return nil }
                if parts[0].hasPrefix("name:") {
                    ids[String(parts[0].dropFirst(5))] = String(parts[1])
                } else {
                    settings[String(parts[0])] = String(parts[1])
                }
            }
        }
    }

    /// The whole life of the process.
    ///
    /// - Parameter words: its arguments, its name first.
    /// - Returns: the exit status.
    package static func main(_ words: [String]) -> Int32 {
        guard (try? ProcessHardening.begin()) != nil else { return 1 }
        guard let arguments = Arguments(words.dropFirst()), schemes.contains(arguments.scheme) else {
            try? writeAll(2, "credfs-remote: error: this program is started by credfs, for a source\n".utf8.span)
            return usage
        }
        // Out of reach of the keys of the terminal, which are for the job.
        setsid()
        try? OwnedDescriptor.changeWorkingDirectory(to: "/")
        try? ProcessAttributes.neverAdministrate()
        let input = OwnedDescriptor(owning: 0)
        let output = OwnedDescriptor(owning: 1)
        // What it starts gets neither.
        guard (try? input.closeOnExec()) != nil, (try? output.closeOnExec()) != nil else { return 1 }
        let provider: any SecretProvider
        do throws(ProviderError) { provider = try Self.provider(arguments, asker: input.number) } catch {
            provider = FailedProvider(error)
        }
        ProviderServer.serve(provider, input, output)
        return 0
    }

    private static let schemes = ["ssm", "secretsmanager", "vault", "gcpsecrets", "azurekeyvault"]

    private static func provider(_ arguments: Arguments, asker: Int32) throws(ProviderError) -> any SecretProvider {
        if arguments.scheme == "vault" {
            let environment = try VaultEnvironment(takingSecrets: arguments.settings)
            let settings = VaultProvider.Settings(
                location: arguments.location,
                ids: arguments.ids,
                limit: arguments.limit
            )
            return VaultProvider(settings) { () throws(ProviderError) in
                try environment.client(asker: asker) { AWSTime.now() }
            }
        }
        if arguments.scheme == "gcpsecrets" { return try GoogleEnvironment.provider(arguments, asker: asker) }
        if arguments.scheme == "azurekeyvault" { return try AzureEnvironment.provider(arguments, asker: asker) }
        let environment = try AWSEnvironment.takingKey()
        let kind: any AWSSecretKind = arguments.scheme == "ssm" ? AWSParameters() : AWSSecrets()
        let settings = AWSProvider.Settings(prefix: arguments.location, ids: arguments.ids, limit: arguments.limit)
        return AWSProvider(kind, settings) { () throws(ProviderError) in
            try connect(arguments.scheme, arguments.settings, environment, asker: asker)
        }
    }

    private static func connect(
        _ scheme: String,
        _ settings: [String: String],
        _ environment: AWSEnvironment,
        asker: Int32
    ) throws(ProviderError) -> AWSService {
        let transport = CurlTransport(agent: "credfs-remote", authorities: environment["AWS_CA_BUNDLE"], asker: asker)
        let profile = settings["profile"]
        let region = try AWSPlace.region(settings["region"], environment, profile: profile)
        let name = profile ?? environment.profile ?? "default"
        let place = AWSPlace(
            environment,
            service: scheme,
            setting: settings["endpoint"],
            profileEndpoint: try AWSProfiles(environment).text("endpoint_url", of: name)
        )
        let clock: @Sendable () -> Int64 = { AWSTime.now() }
        let chain = AWSChain(environment, profile: profile, region: region, transport, asker: asker, clock: clock)
        let identity = AWSIdentity(clock: clock) { (deadline) throws(ProviderError) in try chain.keys(until: deadline) }
        let client = AWSClient(
            service: scheme,
            region: region,
            endpoint: try place.endpoint(in: region),
            transport: transport,
            clock: clock
        )
        let isStore = scheme == "ssm"
        return AWSService(
            client,
            identity,
            target: isStore ? "AmazonSSM" : "secretsmanager",
            version: "1.1"
        )
    }
}
