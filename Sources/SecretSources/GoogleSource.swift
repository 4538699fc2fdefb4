// SPDX-License-Identifier: Apache-2.0

internal import SecretStore
internal import SecureFiles

/// `gcpsecrets:PROJECT[/PREFIX]`: secrets of Google Secret Manager.
struct GoogleSourceType: NamedServiceSourceType {
    let scheme = "gcpsecrets"
    let location = "PROJECT[/PREFIX][?names=NAMES]"
    let ownKeys = ["region", "endpoint"]
    let example = "gcpsecrets:my-project, gcpsecrets:my-project/billing-"
    // A project of an organization begins with its domain and a colon.
    let placeMarks = "-.:"
    let nameMarks = "-_"
}

/// Kind of source that credfs-remote asks a service for, in which secrets have names and no paths: `PLACE[/PREFIX]`.
protocol NamedServiceSourceType: AskedSourceType {
    /// Locations, for messages.
    var example: String { get }
    /// Characters of a place beside letters and digits.
    var placeMarks: String { get }
    /// Characters of a name in the service beside letters and digits.
    var nameMarks: String { get }
}

extension NamedServiceSourceType {
    var batchLimit: Int { 1 }
    var attempts: Int { 4 }
    var requestsPerSecond: Double? { 20 }
    var namesHaveIDs: Bool { true }

    func complete(_ settings: inout AskedSettings, _ location: String) throws(StoreError) {
        let parts = location.split(separator: "/", omittingEmptySubsequences: false)
        let allowed = zip(parts, [placeMarks, nameMarks])
        guard parts.count <= 2, parts[0].first?.isLetter == true, allowed.allSatisfy({ Self.isName($0, marks: $1) })
        else {
            throw StoreError(.usage, "\(scheme) takes \(self.location.prefix { $0 != "?" })", hint: example)
        }
        for (key, marks) in [("region", "-"), ("domain", "-.")] {
            guard settings.own[key].map({ Self.isName(Substring($0), marks: marks) }) ?? true else {
                throw StoreError(.usage, "\(key) is no \(key)")
            }
        }
    }

    private static func isName(_ text: Substring, marks: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
                default: marks.utf8.contains(byte)
                }
            }
    }

    func command(
        _ location: String,
        _ settings: AskedSettings,
        limit: Int,
        _ checker: PermissionChecker
    ) throws(StoreError) -> ProviderClient.Command {
        try RemoteProgramFile.command(scheme, location, settings, limit: limit, checker)
    }
}
