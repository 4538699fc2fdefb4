// SPDX-License-Identifier: Apache-2.0

package import SecretProviders
internal import SecureMemory

/// Chain of places that AWS's own tools look for keys in, in their order; the first that has any counts.
package struct AWSChain: Sendable {
    /// The longest chain of profiles that get keys by each other.
    private static let maximumDepth = 8

    private let environment: AWSEnvironment
    private let profile: String?
    private let region: String?
    private let transport: any HTTPTransport
    private let asker: Int32
    private let clock: @Sendable () -> Int64

    /// Makes one.
    ///
    /// - Parameters:
    ///   - environment: variables and files.
    ///   - profile: the profile that the source names, before any variable; nil for none.
    ///   - region: the region of the source.
    ///   - transport: sends requests.
    ///   - asker: a descriptor that can be read once nobody waits; -1 for none.
    ///   - clock: seconds since 1970.
    package init(
        _ environment: AWSEnvironment,
        profile: String?,
        region: String?,
        _ transport: any HTTPTransport,
        asker: Int32 = -1,
        clock: @escaping @Sendable () -> Int64 = { AWSTime.now() }
    ) {
        self.environment = environment
        self.profile = profile
        self.region = region
        self.transport = transport
        self.asker = asker
        self.clock = clock
    }

    /// Finds keys.
    ///
    /// - Parameter deadline: time by which to have them, in milliseconds of `BootClock`.
    /// - Returns: the keys.
    /// - Throws: `denied` where there are none, with what to do.
    package func keys(until deadline: Int64) throws(ProviderError) -> AWSKeys {
        if let profile { return try keys(named: profile, deadline) }
        if let keys = environment.keys { return keys }
        if let profile = environment.profile { return try keys(named: profile, deadline) }
        if let keys = try keysByToken(deadline) { return keys }
        let profiles = try AWSProfiles(environment)
        if profiles.has("default"), let keys = try keys(of: "default", profiles, deadline) { return keys }
        let host = AWSHostKeys(environment: environment, transport: transport)
        if let keys = try host.ofContainer(deadline) { return keys }
        if let keys = try host.ofInstance(deadline) { return keys }
        throw ProviderError(
            .denied,
            "there are no AWS keys",
            hint: "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or see docs/sources.md"
        )
    }

    /// Keys of a profile that somebody has named: it has to be there.
    private func keys(named profile: String, _ deadline: Int64) throws(ProviderError) -> AWSKeys {
        let profiles = try AWSProfiles(environment)
        guard profiles.has(profile) else {
            throw ProviderError(
                .denied,
                "there is no AWS profile '\(profile)'",
                hint: "AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name the files that it is looked for in"
            )
        }
        guard let keys = try keys(of: profile, profiles, deadline) else {
            throw ProviderError(.denied, "the AWS profile '\(profile)' has no keys and no way to get any")
        }
        return keys
    }

    private func keys(
        of profile: String,
        _ profiles: AWSProfiles,
        _ deadline: Int64,
        depth: Int = 0
    ) throws(ProviderError) -> AWSKeys? {
        guard depth < Self.maximumDepth else {
            throw ProviderError(.denied, "the AWS profile '\(profile)' comes back to itself, or by too many others")
        }
        if let role = profiles.text("role_arn", of: profile) {
            return try keys(for: role, of: profile, profiles, deadline, depth: depth)
        }
        if let keys = try profiles.keys(of: profile) { return keys }
        if let command = profiles.text("credential_process", of: profile) {
            return try keys(by: command, profile, deadline)
        }
        for key in ["sso_session", "sso_start_url", "login_session"] where profiles.text(key, of: profile) != nil {
            throw ProviderError(
                .denied,
                "the AWS profile '\(profile)' logs in by a browser, which credfs does not",
                hint: "a profile with: credential_process = aws configure export-credentials --profile \(profile)"
            )
        }
        return nil
    }

    /// Keys for the role of a profile.
    private func keys(
        for name: String,
        of profile: String,
        _ profiles: AWSProfiles,
        _ deadline: Int64,
        depth: Int
    ) throws(ProviderError) -> AWSKeys {
        let role = AWSTokenService.Role(
            name: name,
            session: profiles.text("role_session_name", of: profile) ?? session,
            duration: profiles.text("duration_seconds", of: profile),
            externalID: profiles.text("external_id", of: profile)
        )
        let region = region ?? profiles.text("region", of: profile)
        if let path = profiles.text("web_identity_token_file", of: profile) {
            return try keys(for: role, byTokenIn: path, region, deadline)
        }
        guard profiles.text("mfa_serial", of: profile) == nil else {
            throw ProviderError(
                .denied,
                "the AWS profile '\(profile)' wants a code at each login",
                hint: "a profile with: credential_process = aws configure export-credentials --profile \(profile)"
            )
        }
        let base: AWSKeys?
        if let source = profiles.text("source_profile", of: profile) {
            // A profile that names itself has the keys itself.
            base =
                source == profile
                ? try profiles.keys(of: profile) : try keys(of: source, profiles, deadline, depth: depth + 1)
        } else if let place = profiles.text("credential_source", of: profile) {
            let host = AWSHostKeys(environment: environment, transport: transport)
            switch place {
            case "Environment": base = environment.keys
            case "EcsContainer": base = try host.ofContainer(deadline)
            case "Ec2InstanceMetadata": base = try host.ofInstance(deadline)
            default: throw ProviderError(.denied, "the AWS profile '\(profile)' has an unknown credential_source")
            }
        } else {
            throw ProviderError(
                .denied,
                "the AWS profile '\(profile)' has a role and neither source_profile nor credential_source"
            )
        }
        guard let base else {
            throw ProviderError(.denied, "the AWS profile '\(profile)' has a role and no keys to get it by")
        }
        return try tokenService(region).assume(role, with: base, deadline)
    }

    private func keys(by command: String, _ profile: String, _ deadline: Int64) throws(ProviderError) -> AWSKeys {
        let what = "the credential_process of the AWS profile '\(profile)'"
        let answer = try ProgramAnswer.of(command, what, asker: asker, deadline)
        guard let keys = try AWSKeys.read(answer, tokenKey: "SessionToken") else {
            throw ProviderError(.denied, "\(what) wrote no keys")
        }
        return keys
    }

    /// Keys by the token of a pod or a workflow; nil where the variables name none.
    private func keysByToken(_ deadline: Int64) throws(ProviderError) -> AWSKeys? {
        guard let path = environment["AWS_WEB_IDENTITY_TOKEN_FILE"], let name = environment["AWS_ROLE_ARN"] else {
            return nil
        }
        let role = AWSTokenService.Role(name: name, session: session)
        return try keys(for: role, byTokenIn: path, region, deadline)
    }

    private func keys(
        for role: AWSTokenService.Role,
        byTokenIn path: String,
        _ region: String?,
        _ deadline: Int64
    ) throws(ProviderError) -> AWSKeys {
        guard var token = try environment.read(path, limit: 1 << 16) else {
            throw ProviderError(.denied, "there is no \(path), which should have a token for the role")
        }
        let count = token.withBytes { bytes in
            var end = bytes.count
            while end > 0, bytes[end - 1] <= 0x20 { end -= 1 }
            return end
        }
        token.setCount(count)
        return try tokenService(region).assume(role, withToken: token, deadline)
    }

    private var session: String { environment["AWS_ROLE_SESSION_NAME"] ?? "credfs-\(clock())" }

    private func tokenService(_ region: String?) throws(ProviderError) -> AWSTokenService {
        let place = AWSPlace(environment, service: "sts", setting: nil, profileEndpoint: nil)
        let region = region ?? "us-east-1"
        return AWSTokenService(
            AWSClient(
                service: "sts",
                region: region,
                endpoint: try place.endpoint(in: region),
                transport: transport,
                clock: clock
            )
        )
    }
}
