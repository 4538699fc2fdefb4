// SPDX-License-Identifier: Apache-2.0

internal import AuditLog
package import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// Checks of a store without a key.
package struct StoreChecks {
    /// Clock skew in seconds that is no finding: the clock of the machine that wrote may be wrong, too.
    static let skewSeconds: Int64 = 300
    /// Days before an expiry from which on it is warned of.
    static let warningDays: Int64 = 30
    /// 2024-01-01T00:00:00Z: before credfs was written.
    static let earliestTime = Timestamp(seconds: 1_704_067_200)

    private let host: HostView
    private let request: StoreRequest
    private var findings: [Finding] = []

    private init(_ host: HostView, _ request: StoreRequest) {
        self.host = host
        self.request = request
    }

    /// Every check, whether there is a store or not.
    package static func run(_ host: HostView, _ request: StoreRequest) -> (findings: [Finding], manifest: Manifest?) {
        var checks = StoreChecks(host, request)
        let manifest = checks.examine()
        let rest = Finding.Check.allCases.drop { $0 != .store }
        let order = rest.filter { check in !checks.findings.contains { $0.check == check } }
        // Each check has its line, also where there is nothing that it could look at.
        for check in order { checks.findings.append(.ok(check, "nothing to check")) }
        let sorted = rest.flatMap { check in checks.findings.filter { $0.check == check } }
        return (sorted, manifest)
    }

    private mutating func examine() -> Manifest? {
        if let finding = Self.configuration(request.configuration) { findings.append(finding) }
        let store: Store
        let checker = PermissionChecker(isStrict: false, user: host.user)
        do throws(StoreError) {
            store = try Store(try request.location.get(), checker: checker)
            guard try store.hasManifest() else { throw Store.noStore(store.location) }
            findings.append(.ok(.store, store.manifestPath))
        } catch {
            findings.append(absence(error))
            findings.append(Self.clock(nil, host))
            return nil
        }
        checkPermissions(store, checker)
        let loaded = readManifest(store)
        checkState(store, loaded?.manifest.store, checker)
        concludePermissions()
        findings.append(Self.clock(loaded?.manifest.updated, host))
        if let loaded { findings += Self.expiry(loaded.manifest, host) }
        let leftovers = leftovers(store)
        let isPlain = loaded.map { (try? $0.checkSealed()) == nil } ?? false
        findings += GitCheck(host).run(store, leftovers: leftovers, manifestIsPlain: isPlain)
        return loaded?.manifest
    }

    private static func configuration(_ found: Result<Configuration.Found, StoreError>) -> Finding? {
        switch found {
        case .success(let found):
            found.path.map { path in
                .ok(.configuration, "\(path), forwards audit entries: \(found.configuration.forwarding.rawValue)")
            }
        case .failure(let error): .problem(.configuration, error.message, fix: error.hint)
        }
    }

    /// Finding where there is no store: no problem of the host, unless somebody named one.
    private func absence(_ error: StoreError) -> Finding {
        guard case .success(let location) = request.location, error.code == .noStore else {
            let isUsage = error.code == .usage
            return isUsage
                ? .warning(.store, error.message, fix: error.hint) : .problem(.store, error.message, fix: error.hint)
        }
        let message = "no store at \(location.manifest ?? location.directory)"
        return request.isNamed ? .warning(.store, message, fix: error.hint) : .ok(.store, message, fix: error.hint)
    }

    private mutating func checkState(_ store: Store, _ identity: StoreID?, _ checker: PermissionChecker) {
        do throws(StoreError) {
            guard let state = try store.existingState(for: identity) else { return }
            let directory = AuditDirectory(
                try state.reopened(),
                path: state.path,
                user: host.user,
                isStrict: request.isStrict
            )
            let log = AuditLog(directory)
            findings.append(audit(log, keyPath: state.path(of: "audit.key")))
        } catch { findings.append(.problem(.auditLog, error.message, fix: error.hint)) }
    }

    /// Finding about the log; what its entries are worth takes the key of the store.
    private mutating func audit(_ log: AuditLog, keyPath: String) -> Finding {
        do throws(AuditError) {
            try log.checkUsable()
            try log.checkRoom()
            guard try !log.isShorter() else {
                return .problem(
                    .auditLog,
                    "the audit log is shorter than behind its last entry: entries were taken away",
                    fix: "credfs audit verify"
                )
            }
            return .ok(.auditLog, "the audit log can be written; 'credfs audit verify' checks its entries")
        } catch {
            if (try? log.isKeyOpen()) == true {
                // Said once, and not as a mode alone: a chmod would hide who may have read it.
                findings.removeAll { $0.check == .permissions && $0.message.contains("\(keyPath):") }
                return .problem(
                    .auditLog,
                    "the audit log cannot be written: \(error.message); "
                        + "whoever read the key can have written entries that verify",
                    fix:
                        "credfs doctor --fix, which records that, then compare the entries with what is known elsewhere"
                )
            }
            if case .file(let failure) = error, !error.isLasting {
                return .problem(.auditLog, "the audit log cannot be written: \(error.message)", fix: failure.hint)
            }
            let state = error.isLasting ? "has ended" : "cannot be written"
            return .problem(.auditLog, "the audit log \(state): \(error.message)", fix: "credfs doctor --fix")
        }
    }

    /// Keys, passwords and identities that variables name.
    private func checkNamedKeys(_ checker: PermissionChecker) throws(StoreError) {
        for variable in ["CREDFS_KEY_FILE", "CREDFS_PASSWORD_FILE", "CREDFS_AGE_KEY_FILE"] {
            guard let path = host.variable(variable), !path.isEmpty else { continue }
            let (directory, name) = Store.split(path)
            guard try StoreDirectory.open(directory, followingLink: true)?.keyFile(name, checker) != nil else {
                throw StoreError(.failed, "\(variable) names no file: \(path)", hint: "put the file there, or unset it")
            }
        }
    }

    private mutating func checkPermissions(_ store: Store, _ checker: PermissionChecker) {
        var errors: [StoreError] = []
        do throws(StoreError) {
            try store.checkPermissions()
            let identity = (try? LoadedManifest(readableIn: store))?.manifest.store
            if identity != nil { try store.checkState(for: identity) }
        } catch { errors.append(error) }
        do throws(StoreError) { try checkNamedKeys(checker) } catch { errors.append(error) }
        for delivery in checker.deliveries { findings.append(.ok(.permissions, delivery)) }
        for error in checker.findings {
            // What CREDFS_PERMISSIONS_STRICT=0 lets every other command accept.
            findings.append(
                request.isStrict
                    ? .problem(.permissions, error.message, fix: error.hint)
                    : .warning(.permissions, error.message, fix: error.hint)
            )
        }
        for error in errors { findings.append(.problem(.permissions, error.message, fix: error.hint)) }
    }

    private mutating func concludePermissions() {
        guard !findings.contains(where: { $0.check == .permissions && $0.status != .ok }) else { return }
        findings.append(.ok(.permissions, "directory, key, manifest and state are private"))
    }

    private mutating func readManifest(_ store: Store) -> LoadedManifest? {
        let loaded: LoadedManifest
        do throws(StoreError) {
            loaded = try LoadedManifest(readableIn: store)
        } catch {
            findings.append(.problem(.manifest, error.message, fix: error.hint))
            return nil
        }
        do throws(StoreError) {
            try loaded.checkSealed()
            let count = loaded.manifest.secrets.count
            findings.append(
                .ok(.manifest, "\(count) \(count == 1 ? "secret" : "secrets"), sealed; 'credfs verify' opens them")
            )
        } catch {
            findings.append(.problem(.manifest, error.message, fix: error.hint))
        }
        return loaded
    }

    // MARK: Times

    static func clock(_ updated: Timestamp?, _ host: HostView) -> Finding {
        let fix = "\(host.sudo)timedatectl set-ntp true"
        guard host.now >= earliestTime else {
            return .problem(.clock, "the clock says \(host.now.text): expiry cannot be judged", fix: fix)
        }
        guard let updated, updated.seconds > host.now.seconds + skewSeconds else { return .ok(.clock, host.now.text) }
        return .warning(
            .clock,
            "the clock says \(host.now.text), but the manifest was written at \(updated.text)",
            fix: fix
        )
    }

    static func expiry(_ manifest: Manifest, _ host: HostView) -> [Finding] {
        let horizon = host.now.seconds + warningDays * 86_400
        var findings: [Finding] = []
        func judge(_ expires: Timestamp?, _ subject: String, isNeeded: Bool, fix: String) {
            guard let expires, expires.seconds <= horizon else { return }
            if expires > host.now {
                findings.append(.warning(.expiry, "\(subject) expires at \(expires.text)", fix: fix))
            } else if isNeeded {
                findings.append(.problem(.expiry, "\(subject) expired at \(expires.text)", fix: fix))
            } else {
                findings.append(.warning(.expiry, "\(subject) expired at \(expires.text), it is left out", fix: fix))
            }
        }
        judge(manifest.expires, "the manifest", isNeeded: true, fix: "credfs encrypt, with a later 'expires' in it")
        for secret in manifest.secrets {
            let name = secret.name.text
            judge(secret.expires, name, isNeeded: secret.required, fix: "credfs set \(quoted(name)) --expires TIME")
        }
        let shown = 20
        if findings.count > shown {
            let rest = findings.dropFirst(shown)
            let message = "\(rest.count) more expire within \(warningDays) days or have expired"
            let hasProblem = rest.contains { $0.status == .problem }
            findings.removeLast(rest.count)
            findings.append(
                hasProblem
                    ? .problem(.expiry, message, fix: "credfs list") : .warning(.expiry, message, fix: "credfs list")
            )
        }
        return findings.isEmpty ? [.ok(.expiry, "nothing expires within \(warningDays) days")] : findings
    }

    // MARK: Leftovers

    private mutating func leftovers(_ store: Store) -> [String] {
        do throws(StoreError) {
            let place = try store.manifestPlace()
            let paths = try place.folder.editorLeftovers(of: place.name)
            if paths.isEmpty {
                findings.append(.ok(.leftovers, "no editor left anything beside the manifest"))
            } else {
                findings.append(
                    .warning(
                        .leftovers,
                        "an editor may have left plaintext: \(paths.joined(separator: ", "))",
                        fix: "rm \(paths.map { quoted($0) }.joined(separator: " "))"
                    )
                )
            }
            return paths
        } catch {
            findings.append(.warning(.leftovers, error.message, fix: error.hint))
            return []
        }
    }
}

/// The store that a report is asked for.
package struct StoreRequest {
    /// Location, or why no place can be told.
    package let location: Result<StoreLocation, StoreError>
    /// A flag or a variable names it.
    package let isNamed: Bool
    /// Modes, owners and link counts are problems; if not they are warnings.
    package let isStrict: Bool
    /// Configuration, or why it cannot be used.
    package let configuration: Result<Configuration.Found, StoreError>

    /// Makes a request.
    package init(
        location: Result<StoreLocation, StoreError>,
        isNamed: Bool,
        isStrict: Bool,
        configuration: Result<Configuration.Found, StoreError> = .success(.none)
    ) {
        self.configuration = configuration
        self.location = location
        self.isNamed = isNamed
        self.isStrict = isStrict
    }
}
