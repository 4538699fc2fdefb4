// SPDX-License-Identifier: Apache-2.0

internal import AuditLog
package import SecretStore
internal import SecureFiles
internal import SystemCalls

/// Explains a host: what works, what does not, and what mends it.
///
/// Nothing here needs a key or a terminal.
package enum Doctor {
    /// Report of all checks.
    package struct Report {
        /// At least one finding for each check, in the order of the checks.
        package let findings: [Finding]
        /// The manifest, if it could be read; nobody checked its signature.
        package let manifest: Manifest?

        /// Counts findings of a status.
        package func count(_ status: Finding.Status) -> Int {
            findings.count { $0.status == status }
        }
    }

    /// Runs every check.
    package static func examine(_ host: HostView, _ request: StoreRequest) -> Report {
        let facts = MountFacts(host)
        let places = PlaceChecks.run(host) + [EnvironmentChecks.run(host)]
        let machine = MountChecks.run(host, facts) + MemoryChecks.run(host) + places
        let store = StoreChecks.run(host, request)
        return Report(findings: machine + store.findings, manifest: store.manifest)
    }

    /// Tells how to fix the directory that mounts are made in; nil where it can be used.
    package static func remedyOfRuntimeDirectory(_ host: HostView) -> String? {
        let finding = PlaceChecks.runtime(host)
        return finding.status == .problem ? finding.fix : nil
    }

    /// Finds what git has of a store that it should not, or would take; nothing where all of that is ignored.
    package static func exposures(_ host: HostView, _ store: Store) -> [Finding] {
        GitCheck(host).run(store, leftovers: [], manifestIsPlain: false).filter { $0.status != .ok }
    }

    /// Result of repairing: what was fixed and what could not be.
    package struct Repair: Sendable, Equatable {
        /// For people and the audit log: the modes that hold now.
        package fileprivate(set) var modes: [String] = []
        /// For people and the audit log: what others could get at before.
        package fileprivate(set) var exposures: [String] = []
        /// For people: mounts that are gone now.
        package fileprivate(set) var mounts: [String] = []
        /// Failures of repairs.
        package fileprivate(set) var failures: [String] = []

        package init() {}
    }

    /// Moves an audit log aside that cannot go on.
    private static func auditLog(
        _ host: HostView,
        _ location: StoreLocation,
        _ checker: PermissionChecker
    ) throws(StoreError) -> [String] {
        let store = try Store(location, checker: checker)
        guard let state = try store.existingState(for: nil) else { return [] }
        let log = AuditLog(
            AuditDirectory(try state.reopened(), path: state.path, user: host.user, isStrict: checker.isStrict)
        )
        do throws(AuditError) {
            guard let place = try log.setAsideIfUnusable() else { return [] }
            return ["moved the audit log that had ended to \(place); the next command with the key begins another"]
        } catch { throw StoreError(.failed, error.message) }
    }

    /// Puts modes of the store right and takes away mounts whose process has gone.
    package static func repair(_ host: HostView, _ request: StoreRequest) -> Repair {
        var repair = Repair()
        do throws(StoreError) {
            let checker = PermissionChecker(isStrict: true, user: host.user)
            let modes = try StoreCreation.repair(try request.location.get(), checker)
            repair.modes = modes.notes
            repair.exposures = modes.exposures
            repair.modes += try auditLog(host, try request.location.get(), checker)
        } catch {
            // That there is no store is told by the check.
            if error.code != .noStore && error.code != .usage { repair.failures.append(error.message) }
        }
        for path in VisibleMounts.stalePaths(host) {
            if let errno = host.calls.detach(path) {
                repair.failures.append("cannot detach \(path): \(errno.message)")
            } else {
                repair.mounts.append("detached \(path)")
            }
        }
        return repair
    }
}
