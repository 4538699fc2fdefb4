// SPDX-License-Identifier: Apache-2.0

internal import Synchronization
package import SystemCalls

/// The credentials of a program: named, checked together, and loaded anew when their files change.
///
/// ```swift
/// let store = try CredentialStore([
///     Credential("api-token", aliases: ["API_TOKEN"]),
///     Credential("signing-key", format: .hexKey),
///     Credential("database", format: .json, isRequired: false),
/// ])
/// try store.secret("api-token").matches(presented)
/// ```
///
/// What is loaded is one generation: a ``Snapshot`` never changes and never mixes files of two moments. The program asks
/// for the next one with ``reloadIfChanged()``, from a timer or a SIGHUP. It looks at file attributes and opens nothing
/// unless they changed: that works where inotify does not (FUSE mounts such as credfs's, volumes swapped by a link).
public final class CredentialStore: Sendable {
    /// One generation of credentials: immutable, so that work that began with it ends with it.
    public final class Snapshot: Sendable {
        /// 1 for what was loaded first, one more after every change.
        public let generation: Int

        private let names: [String: Int]
        private let secrets: [SharedSecret?]

        init(generation: Int, names: [String: Int], secrets: [SharedSecret?]) {
            self.generation = generation
            self.names = names
            self.secrets = secrets
        }

        /// The credential of a name or alias.
        ///
        /// - Parameter name: a declared name or alias.
        /// - Returns: the credential.
        /// - Throws: ``CredentialsError/Code/credentialNotFound`` for what was not declared, or is optional and missing.
        public func secret(_ name: String) throws(CredentialsError) -> SharedSecret {
            guard let index = names[name], let secret = secrets[index] else {
                throw CredentialsError(.credentialNotFound, name: name)
            }
            return secret
        }

        /// Detects a credential of this name or alias.
        ///
        /// - Parameter name: a declared name or alias.
        /// - Returns: whether it is there.
        public func contains(_ name: String) -> Bool {
            names[name].map { secrets[$0] != nil } ?? false
        }

        /// The credential at an index of the declarations.
        func secret(at index: Int) -> SharedSecret? { secrets[index] }
    }

    /// A declaration with the files that it stands for in this process.
    private struct Entry {
        let credential: Credential
        let candidates: [CredentialSource.Candidate]
    }

    private struct Generation {
        let snapshot: Snapshot
        let stamps: [FileStamp?]
    }

    private static let maximumAttemptCount = 8

    private let entries: [Entry]
    private let names: [String: Int]
    // Held for the time of a pointer swap only; files are read under `reloading`, which no reader takes.
    private let current: Mutex<Generation>
    private let reloading = Mutex<Void>(())

    /// Loads all credentials.
    ///
    /// - Parameter credentials: what the program needs; names and aliases must all differ.
    /// - Throws: a ``CredentialsError`` for the first required credential that is missing, and for any that is refused.
    public convenience init(_ credentials: [Credential]) throws(CredentialsError) {
        try self.init(credentials, in: CredentialSource.processEnvironment)
    }

    /// Loads all credentials as a process with these variables would.
    package init(
        _ credentials: [Credential],
        in environment: @Sendable (String) -> EnvironmentVariables.Value
    ) throws(CredentialsError) {
        names = try Self.index(credentials)
        entries = try Self.resolve(credentials, environment)
        current = Mutex(try Self.load(entries, names, after: nil))
    }

    /// The generation in use.
    public var snapshot: Snapshot { current.withLock { $0.snapshot } }

    /// The credential of a name or alias in the generation in use.
    ///
    /// - Parameter name: a declared name or alias.
    /// - Returns: the credential.
    /// - Throws: ``CredentialsError/Code/credentialNotFound`` for what was not declared, or is optional and missing.
    public func secret(_ name: String) throws(CredentialsError) -> SharedSecret {
        try snapshot.secret(name)
    }

    /// Loads the next generation if a file was replaced, changed, added or removed.
    ///
    /// Readers go on with the generation in use meanwhile, and also after a failure: a half-written rotation never takes
    /// a service down. Files that did not change are not read again.
    ///
    /// - Returns: whether there is a new generation.
    /// - Throws: a ``CredentialsError`` as for loading; the generation in use stays.
    @discardableResult
    public func reloadIfChanged() throws(CredentialsError) -> Bool {
        try reloading.withLock { (_) throws(CredentialsError) -> Bool in
            let old = current.withLock { $0 }
            guard try Self.stamps(of: entries) != old.stamps else { return false }
            let new = try Self.load(entries, names, after: old)
            current.withLock { $0 = new }
            return true
        }
    }

    /// Looks at every credential's file now, without touching the generation in use.
    public func health() -> [CredentialHealth] {
        entries.map { CredentialHealth($0.credential, Self.failure(of: $0)) }
    }

    /// Looks at credentials without loading them, such as before a start that would fail on the first missing one.
    ///
    /// - Parameter credentials: what the program needs.
    /// - Returns: one entry for every declaration, in order.
    public static func health(of credentials: [Credential]) -> [CredentialHealth] {
        credentials.map { credential in
            do throws(CredentialsError) {
                let entries = try resolve([credential], CredentialSource.processEnvironment)
                return CredentialHealth(credential, entries.first.flatMap { failure(of: $0) })
            } catch {
                return CredentialHealth(credential, error)
            }
        }
    }

    private static func index(_ credentials: [Credential]) throws(CredentialsError) -> [String: Int] {
        var names: [String: Int] = [:]
        for (index, credential) in credentials.enumerated() {
            for name in [credential.name] + credential.aliases {
                guard !name.isEmpty, names.updateValue(index, forKey: name) == nil else {
                    throw CredentialsError(.invalidDeclaration, name: name, reason: "empty or declared twice")
                }
            }
        }
        return names
    }

    private static func resolve(
        _ credentials: [Credential],
        _ environment: CredentialSource.Environment
    ) throws(CredentialsError) -> [Entry] {
        var entries: [Entry] = []
        for credential in credentials {
            do throws(CredentialsError) {
                let candidates = try credential.source.candidates(environment)
                entries.append(Entry(credential: credential, candidates: candidates))
            } catch {
                throw error.located(name: credential.name)
            }
        }
        return entries
    }

    /// Loads a generation: what changed since the one before, and then proof that nothing changed meanwhile.
    private static func load(
        _ entries: [Entry],
        _ names: [String: Int],
        after old: Generation?
    ) throws(CredentialsError) -> Generation {
        for _ in 0..<maximumAttemptCount {
            var secrets: [SharedSecret?] = []
            var stamps: [FileStamp?] = []
            for (index, entry) in entries.enumerated() {
                if let old, let stamp = try stamp(of: entry), stamp == old.stamps[index] {
                    secrets.append(old.snapshot.secret(at: index))
                    stamps.append(stamp)
                    continue
                }
                do throws(CredentialsError) {
                    let loaded = try load(entry)
                    stamps.append(loaded.stamp)
                    secrets.append(SharedSecret(loaded.take()))
                } catch  where error.isAbsence && !entry.credential.isRequired {
                    stamps.append(nil)
                    secrets.append(nil)
                }
            }
            // Had any file changed since it was read, some of the others may be of another moment.
            guard try self.stamps(of: entries) == stamps else { continue }
            let snapshot = Snapshot(generation: (old?.snapshot.generation ?? 0) + 1, names: names, secrets: secrets)
            return Generation(snapshot: snapshot, stamps: stamps)
        }
        throw CredentialsError(.inputOutput, name: "credentials", reason: "they kept changing while they were read")
    }

    private static func load(_ entry: Entry) throws(CredentialsError) -> Secret.Loaded {
        let credential = entry.credential
        do throws(CredentialsError) {
            let loaded = try Secret.load(
                entry.candidates,
                of: credential.source,
                named: credential.name,
                credential.format.newline,
                credential.policy
            )
            try credential.format.check(loaded.secret)
            return loaded
        } catch {
            throw error.located(name: credential.name)
        }
    }

    private static func stamps(of entries: [Entry]) throws(CredentialsError) -> [FileStamp?] {
        var stamps: [FileStamp?] = []
        for entry in entries { stamps.append(try stamp(of: entry)) }
        return stamps
    }

    /// The attributes of the file that would be loaded, nil where there is none.
    private static func stamp(of entry: Entry) throws(CredentialsError) -> FileStamp? {
        for candidate in entry.candidates {
            do throws(CredentialsError) {
                return try CheckedFile.stamp(candidate, entry.credential.policy)
            } catch  where error.code == .fileNotFound {
                if candidate.isDecisive { return nil }
            }
        }
        return nil
    }

    private static func failure(of entry: Entry) -> CredentialsError? {
        do throws(CredentialsError) {
            _ = try load(entry)
            return nil
        } catch {
            return error
        }
    }
}

extension CredentialStore: CustomStringConvertible, CustomReflectable {
    /// The number of credentials and the generation.
    public var description: String { "CredentialStore(\(entries.count) declared, generation \(snapshot.generation))" }

    /// A mirror without children.
    public var customMirror: Mirror { Mirror(self, children: [], displayStyle: .class) }
}
