// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders

/// Place of a service of AWS: region and endpoint, by the setting of the source, variables and the profile, in this order.
struct AWSPlace: Sendable {
    private let environment: AWSEnvironment
    private let service: String
    private let setting: String?
    private let profileEndpoint: String?

    /// Makes one.
    ///
    /// - Parameters:
    ///   - environment: the variables.
    ///   - service: the service, as it is called in addresses.
    ///   - setting: the endpoint that the source names.
    ///   - profileEndpoint: the endpoint that the profile names.
    init(_ environment: AWSEnvironment, service: String, setting: String?, profileEndpoint: String?) {
        self.environment = environment
        self.service = service
        self.setting = setting
        self.profileEndpoint = profileEndpoint
    }

    /// The region of a source.
    ///
    /// - Parameters:
    ///   - setting: the one that it names.
    ///   - environment: variables and files.
    ///   - profile: the profile that it names.
    /// - Returns: the region.
    /// - Throws: `invalid` where nothing names one.
    static func region(
        _ setting: String?,
        _ environment: AWSEnvironment,
        profile: String?
    ) throws(ProviderError) -> String {
        let profiles = try AWSProfiles(environment)
        let name = profile ?? environment.profile ?? "default"
        let region =
            setting ?? environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"]
            ?? profiles.text("region", of: name)
        guard let region else {
            throw ProviderError(
                .unusable,
                "no AWS region is named",
                hint: "set AWS_REGION, or add ?region= to the source"
            )
        }
        let isRegion = region.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x61...0x7a).contains(byte) || byte == UInt8(ascii: "-")
        }
        guard isRegion, region.utf8.count <= 40 else { throw ProviderError(.unusable, "the AWS region is no region") }
        return region
    }

    /// The endpoint in a region.
    ///
    /// - Throws: `unusable` for an address that cannot be meant, or plain http to another machine.
    func endpoint(in region: String) throws(ProviderError) -> Endpoint {
        let suffix = region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
        let host = environment.isTrue("AWS_USE_FIPS_ENDPOINT") ? "\(service)-fips" : service
        let address = named ?? "https://\(host).\(region).\(suffix)"
        guard let endpoint = Endpoint(address) else {
            throw ProviderError(
                .unusable,
                "the endpoint of \(service) is \(Endpoint.reason(against: address))",
                hint: "https://HOST[:PORT]; http:// only for this machine"
            )
        }
        return endpoint
    }

    private var named: String? {
        if let setting { return setting }
        guard !environment.isTrue("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") else { return nil }
        let variable = service == "secretsmanager" ? "SECRETS_MANAGER" : service.uppercased()
        return environment["AWS_ENDPOINT_URL_\(variable)"] ?? environment["AWS_ENDPOINT_URL"] ?? profileEndpoint
    }
}
