// SPDX-License-Identifier: Apache-2.0

internal import Sealing
package import SecureFiles
package import SecureMemory
internal import SystemCalls

/// Acceptance check of a store, in the order of the contract, with a report.
package enum AcceptanceGuard {
    /// The checks in their order.
    package enum Check: String, Sendable, CaseIterable {
        case store
        case permissions
        case schema
        case sealed
        case key
        case signature
        case required
        case expiry
        case format

        /// The reason of an unauthenticated job (`CREDFS_AUTH_REASON`) if this check fails.
        package var reason: String {
            switch self {
            case .store: "no-store"
            case .sealed: "unsealed"
            case .expiry: "expired"
            default: rawValue
            }
        }
    }

    package enum Status: String, Sendable {
        case ok
        case failed
        case warning
        case skipped
    }

    /// One line of a report.
    package struct Result: Sendable, Equatable {
        package let check: Check
        package let status: Status
        /// Cause of a failure or warning, with what to do.
        package let error: StoreError?
        /// Finding in words; never a value.
        package let message: String
    }

    /// Outcome of all checks.
    package struct Outcome: Sendable {
        /// Every check, in order.
        package fileprivate(set) var results: [Result] = []
        /// The manifest, if it could be read.
        package fileprivate(set) var manifest: Manifest?
        /// The manifest with its keys, if they were asked for, and signature and values are authentic.
        package fileprivate(set) var verified: VerifiedManifest?

        /// The first check that failed.
        package var failure: Result? { results.first { $0.status == .failed } }

        fileprivate mutating func ok(_ check: Check, _ message: String) {
            results.append(Result(check: check, status: .ok, error: nil, message: message))
        }

        fileprivate mutating func failed(_ check: Check, _ error: StoreError) {
            results.append(Result(check: check, status: .failed, error: error, message: error.message))
        }

        fileprivate mutating func warning(_ check: Check, _ message: String) {
            results.append(Result(check: check, status: .warning, error: nil, message: message))
        }

        fileprivate mutating func skipped(_ checks: [Check], _ message: String) {
            for check in checks {
                results.append(Result(check: check, status: .skipped, error: nil, message: message))
            }
        }

        /// Runs a check that either passes with a message or throws.
        fileprivate mutating func run(
            _ check: Check,
            _ body: () throws(StoreError) -> String
        ) -> Bool {
            do throws(StoreError) {
                ok(check, try body())
                return true
            } catch {
                failed(check, error)
                return false
            }
        }
    }

    /// Unlocking: gets the keys of a manifest, or nil where nothing that needs a key is to be checked.
    package typealias Unlock = (Store, Manifest) throws(StoreError) -> StoreKeys?

    /// Runs every check that can be run.
    ///
    /// - Parameters:
    ///   - location: the store.
    ///   - checker: judge of the files; its warnings are reported, too.
    ///   - now: the time that expiry is compared with.
    ///   - limit: the largest rendered file in bytes.
    ///   - rule: further rule of the schema check.
    ///   - unlock: finds the keys.
    /// - Returns: the report, and manifest and keys as far as they were reached. `failure == nil` means accepted.
    package static func examine(
        _ location: StoreLocation,
        _ checker: PermissionChecker,
        now: Timestamp,
        limit: Int = Manifest.maximumSecretByteCount,
        rule: (Manifest) throws(StoreError) -> Void = { _ in },
        unlock: Unlock
    ) -> Outcome {
        var outcome = Outcome()
        do throws(StoreError) {
            let store = try Store(location, checker: checker)
            guard try store.hasManifest() else { throw Store.noStore(location) }
            outcome.ok(.store, store.manifestPath)
            examine(store, now, limit, rule, unlock, &outcome)
        } catch {
            outcome.failed(error.code == .permissions ? .permissions : .store, error)
            if error.code == .permissions { outcome.results.insert(present(location), at: 0) }
            outcome.skipped(Array(Check.allCases.dropFirst(outcome.results.count)), "the store cannot be read")
        }
        return outcome
    }

    private static func present(_ location: StoreLocation) -> Result {
        Result(check: .store, status: .ok, error: nil, message: location.manifest ?? location.directory)
    }

    private static func examine(
        _ store: Store,
        _ now: Timestamp,
        _ limit: Int,
        _ rule: (Manifest) throws(StoreError) -> Void,
        _ unlock: Unlock,
        _ outcome: inout Outcome
    ) {
        var loaded: LoadedManifest?
        guard checkPermissions(store, &outcome) else {
            return outcome.skipped(Array(Check.allCases.dropFirst(2)), "permissions failed")
        }
        let hasSchema = outcome.run(.schema) { () throws(StoreError) in
            let manifest = try LoadedManifest(file: store.readManifest())
            loaded = manifest
            try rule(manifest.manifest)
            return
                "\(Count.pluralized(manifest.manifest.secrets.count, "secret")), generation \(manifest.manifest.generation)"
        }
        guard hasSchema, let loaded else {
            return outcome.skipped(Array(Check.allCases.dropFirst(3)), "the schema check failed")
        }
        let manifest = loaded.manifest
        outcome.manifest = manifest
        let isSealed = outcome.run(.sealed) { () throws(StoreError) in
            try loaded.checkSealed()
            return Count.pluralized(manifest.secrets.count { $0.value != .empty && $0.template == nil }, "sealed value")
        }
        if isSealed {
            unlockAndAuthenticate(store, loaded, unlock, &outcome)
        } else {
            outcome.skipped([.key, .signature], "values are not sealed")
        }
        guard outcome.results.last?.status != .failed || outcome.results.last?.check != .signature else {
            return outcome.skipped([.required, .expiry, .format], "the signature failed")
        }
        checkRequired(manifest, &outcome)
        checkExpiry(manifest, now, &outcome)
        checkFormats(now, limit, &outcome)
    }

    private static func checkPermissions(_ store: Store, _ outcome: inout Outcome) -> Bool {
        do throws(StoreError) {
            try store.checkPermissions()
            if store.checker.warnings.isEmpty {
                outcome.ok(.permissions, "owner and modes are right")
            } else {
                outcome.warning(.permissions, store.checker.warnings.joined(separator: "; "))
            }
            return true
        } catch {
            outcome.failed(.permissions, error)
            return false
        }
    }

    private static func unlockAndAuthenticate(
        _ store: Store,
        _ loaded: LoadedManifest,
        _ unlock: Unlock,
        _ outcome: inout Outcome
    ) {
        let keys: StoreKeys?
        do throws(StoreError) {
            keys = try unlock(store, loaded.manifest)
        } catch {
            outcome.failed(.key, error)
            return outcome.skipped([.signature], "there is no key")
        }
        guard let keys else {
            return outcome.skipped([.key, .signature], "needs a key (--no-key)")
        }
        outcome.ok(.key, "a key slot opens")
        var verified: VerifiedManifest?
        _ = outcome.run(.signature) { () throws(StoreError) in
            let manifest = try loaded.verified(with: keys)
            try authenticateValues(manifest)
            verified = manifest
            return "the manifest and its values are authentic"
        }
        outcome.verified = verified
    }

    private static func authenticateValues(_ verified: VerifiedManifest) throws(StoreError) {
        var cipher = try verified.keys.valueCipher()
        var scratch = try SecureBuffer.scratch()
        for secret in verified.manifest.secrets {
            guard case .sealed(let value) = secret.value else { continue }
            try cipher.authenticate(value, as: secret.name, scratch: &scratch)
        }
    }

    private static func checkRequired(_ manifest: Manifest, _ outcome: inout Outcome) {
        _ = outcome.run(.required) { () throws(StoreError) in
            try requireValues(manifest)
            return "every required secret has a value"
        }
    }

    /// Requires a value of every secret that must have one.
    ///
    /// - Throws: class `invalid` with the names of those without.
    package static func requireValues(_ manifest: Manifest) throws(StoreError) {
        let missing = manifest.secrets.filter { $0.required && $0.value == .empty }.map(\.name.text)
        guard let first = missing.first else { return }
        throw StoreError(
            .invalid,
            "required secrets without a value: \(Names.abbreviated(missing))",
            hint: "fill them with: credfs set \(quoted(first))"
        )
    }

    private static func checkExpiry(_ manifest: Manifest, _ now: Timestamp, _ outcome: inout Outcome) {
        if let expires = manifest.expires, expires <= now {
            return outcome.failed(
                .expiry,
                StoreError(
                    .expired,
                    "the manifest expired at \(expires.text)",
                    hint: "give it a later time, or none, with: credfs edit"
                )
            )
        }
        let expired = manifest.secrets.filter { !$0.isCurrent(at: now) }
        if let secret = expired.first(where: \.required), let expires = secret.expires {
            return outcome.failed(
                .expiry,
                StoreError(
                    .expired,
                    "required secret '\(secret.name.text)' expired at \(expires.text)",
                    hint: "set a new value with: credfs set \(quoted(secret.name.text)) --expires TIME"
                )
            )
        }
        let lacking = filesWithExpiredParts(manifest, now)
        if let lack = lacking.first(where: { lack in manifest.secrets.contains { $0.name == lack.name && $0.required } }
        ) {
            return outcome.failed(
                .expiry,
                StoreError(
                    .expired,
                    "required file \(lack.message)",
                    hint: "set a new value with: credfs set \(quoted(lack.part.text)) --expires TIME"
                )
            )
        }
        guard expired.isEmpty && lacking.isEmpty else {
            let names = Names.abbreviated(expired.map(\.name.text) + lacking.map(\.name.text))
            return outcome.warning(.expiry, "expired and left out: \(names)")
        }
        outcome.ok(.expiry, "nothing has expired")
    }

    /// Files that are left out since a part that they name has expired, and they have not.
    private static func filesWithExpiredParts(_ manifest: Manifest, _ now: Timestamp) -> [MissingFile] {
        let files = manifest.secrets.filter { $0.template != nil && $0.isCurrent(at: now) }
        guard !files.isEmpty else { return [] }
        let expired = Dictionary(
            manifest.secrets.filter { !$0.isCurrent(at: now) }.map { ($0.name, $0.expires) }
        ) { first, _ in first }
        return files.compactMap { file in
            guard let part = file.template?.names.first(where: { expired[$0] != nil }) else { return nil }
            return MissingFile(name: file.name, part: part, expired: expired[part] ?? nil)
        }
    }

    private static func checkFormats(_ now: Timestamp, _ limit: Int, _ outcome: inout Outcome) {
        guard let verified = outcome.verified else {
            return outcome.skipped([.format], "needs sealed values and a key")
        }
        _ = outcome.run(.format) { () throws(StoreError) in
            var checked = 0
            var cipher = try verified.keys.valueCipher()
            for secret in verified.manifest.secrets {
                guard let format = secret.format, case .sealed(let value) = secret.value else { continue }
                try format.check(try cipher.open(value, as: secret.name), of: secret.name)
                checked += 1
            }
            let files = try checkFiles(verified, now, limit)
            let text = "\(Count.pluralized(checked, "value")) checked for format"
            return files == 0 ? text : "\(text), \(Count.pluralized(files, "file")) rendered"
        }
    }
}

extension AcceptanceGuard {
    /// Renders every file that lacks nothing, as far as its size and format need it.
    private static func checkFiles(
        _ verified: VerifiedManifest,
        _ now: Timestamp,
        _ limit: Int
    ) throws(StoreError) -> Int {
        var set = SecretSet(verified.manifest.secrets, verified.keys)
        _ = try set.render(limit: limit, now: now)
        for entry in set.entries {
            guard let format = entry.format, let file = set.renderedFiles[entry.name] else { continue }
            try format.check(try set.content(of: file), of: entry.name)
        }
        return set.renderedFiles.count
    }
}

extension SecretEntry.Format {
    /// Checks that content has this format.
    ///
    /// - Throws: class `invalid`, naming secret and format only.
    package func check(_ content: borrowing SecureBuffer, of name: SecretName) throws(StoreError) {
        guard content.withBytes({ accepts($0) }) else {
            throw StoreError(
                .invalid,
                "the value of '\(name.text)' is not \(rawValue)",
                hint: "\(rawValue) is \(meaning); --format any takes any bytes"
            )
        }
    }

    private var meaning: String {
        switch self {
        case .text: "UTF-8 without zero bytes"
        case .json: "one JSON text"
        case .hex32: "64 hexadecimal digits"
        case .pem: "blocks from -----BEGIN to -----END"
        case .base64: "Base64 with padding, on one line or several"
        }
    }
}

extension SecureBuffer {
    /// Secure memory that values pass through while they are checked.
    package static func scratch() throws(StoreError) -> SecureBuffer {
        do throws(SecureMemoryError) {
            return try SecureBuffer(count: 16_384)
        } catch { throw .memory(error) }
    }
}
