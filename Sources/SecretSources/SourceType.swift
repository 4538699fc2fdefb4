// SPDX-License-Identifier: Apache-2.0

internal import PlaintextDocuments
package import SecretStore
internal import SecureFiles

/// Kind of source that `--source SCHEME:LOCATION` names.
package protocol SourceType: Sendable {
    /// The scheme.
    var scheme: String { get }
    /// What the location is, for messages and help.
    var location: String { get }
    /// Read again by a reload; of any other source the values of the start stay.
    var isReadAgain: Bool { get }
    /// The location is a path, which is meant in the working directory of the start.
    var isPath: Bool { get }

    /// It is read by a process of its own, which a process that serves cannot start.
    var needsProcess: Bool { get }

    /// Opens a source.
    ///
    /// - Parameters:
    ///   - location: what follows the colon.
    ///   - access: limits, the judge of its files and what opens what is encrypted.
    /// - Returns: the source.
    /// - Throws: class `usage` for a location that cannot be meant; what opening throws.
    func open(_ location: String, _ access: SourceAccess) throws -> any SecretSource

    /// Leaves a source unread: what it would have taken is kept from the job all the same.
    func discard(_ location: String) throws
}

extension SourceType {
    /// The location is `[NAME=]PATH`.
    var takesName: Bool { self is any NamedFileSourceType }

    package var needsProcess: Bool { self is any AskedSourceType }

    package func discard(_ location: String) throws {}
}

/// Kind of source whose location is `[NAME=]PATH`: a name for the one value of a file, or a directory of such files.
protocol NamedFileSourceType: SourceType {}

extension NamedFileSourceType {
    package var location: String { "[NAME=]PATH" }
    package var isPath: Bool { true }
}

/// Registry of the kinds of sources.
package enum SourceTypes {
    /// One row for each kind; a new one is a file and a row.
    package static let all: [any SourceType] = [
        EnvironmentSourceType(), ExecSourceType(), ParameterSourceType(), SecretsManagerSourceType(),
        VaultSourceType(),
        GoogleSourceType(),
        AzureSourceType(),
        DirectorySourceType(),
        FileSourceType(),
        AgeSourceType(),
        SopsSourceType(),
        CredentialSourceType(),
        FernetSourceType(),
        DocumentSourceType(format: .dotenv),
        DocumentSourceType(format: .json),
        DocumentSourceType(format: .yaml),
    ]

    /// The forms of every kind, for messages and help.
    package static var forms: String { all.map { "\($0.scheme):\($0.location)" }.joined(separator: ", ") }
}

/// Address of a source: `SCHEME:LOCATION`.
package struct SourceAddress: Sendable {
    /// The text as it was given.
    package let text: String
    let type: any SourceType
    private(set) var location: String
    /// Settings of a source that is asked over time.
    private(set) var settings = AskedSettings()

    /// Reads an address.
    ///
    /// - Throws: class `usage`, without the text: a value may have been typed in its place.
    package init(_ text: String, _ settings: AskedSettings = AskedSettings()) throws(StoreError) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[1].isEmpty,
            let type = SourceTypes.all.first(where: { $0.scheme == parts[0] })
        else { throw Self.unknown }
        self.text = text
        self.type = type
        self.settings = settings
        location = String(parts[1])
        if type.takesName { _ = try PathLocation(location) }
        guard let type = type as? any AskedSourceType else { return }
        let options = parts[1].split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        location = String(options[0])
        guard !location.isEmpty else { throw Self.unknown }
        self.settings.attempts = type.attempts
        self.settings.requestsPerSecond = type.requestsPerSecond
        self.settings.ownKeys = type.ownKeys
        self.settings.namesHaveIDs = type.namesHaveIDs
        if options.count == 2 { try self.settings.read(options[1]) }
    }

    private static var unknown: StoreError {
        StoreError(.usage, "there is no source of this form", hint: "sources are \(SourceTypes.forms)")
    }

    /// Sets what a configuration says beside the address.
    package mutating func set(_ key: String, _ value: String) throws(StoreError) {
        guard type is any AskedSourceType else {
            throw StoreError(.usage, "\(key) is for sources that are asked over time")
        }
        try settings.set(key, value)
    }

    /// Resolves a path in the working directory, which a server leaves, and completes the settings by the location.
    package mutating func resolve(in directory: () throws(StoreError) -> String) throws(StoreError) {
        let asked = type as? any AskedSourceType
        try asked?.complete(&settings, location)
        let isPath = type.isPath || asked?.isPath(location) == true
        guard isPath else { return }
        let place = type.takesName ? try PathLocation(location) : PathLocation(nil, location)
        guard !place.path.hasPrefix("/") else { return }
        location = PathLocation(place.name, "\(try directory())/\(place.path)").text
    }

    /// Directory whose changes a reload would show; nil where there is none.
    var watchedDirectory: String? {
        guard type.isPath, type.isReadAgain else { return nil }
        guard type.takesName, let place = try? PathLocation(location) else { return location }
        return place.isDirectory ? place.path : PathParts.split(place.path).directory
    }
}
