// SPDX-License-Identifier: Apache-2.0

internal import ProcessControl
internal import SystemCalls
internal import SystemPackage

/// Checks of mounting.
package enum MountChecks {
    package static func run(_ host: HostView, _ facts: MountFacts) -> [Finding] {
        guard facts.hasProc else {
            // Nothing is mounted without it, and nothing can be tried.
            return [
                device(facts), .unknown(.helper, host), .unknown(.capability, host), .unknown(.userNamespaces, host),
                .problem(.isolation, "'run' and 'mount' need /proc", fix: host.wayToProc),
            ]
        }
        return [
            device(facts), helper(facts, allowsOthers: allowsOthers(host)), capability(facts), userNamespaces(facts),
            isolation(facts, hasSSHDropIns: hasSSHDropIns(host)),
        ]
    }

    static func device(_ facts: MountFacts) -> Finding {
        switch facts.device {
        case .usable: return .ok(.fuseDevice, "/dev/fuse can be opened")
        case .missing, .notADevice:
            let advice = MountAdvice(.device(.noSuchFileOrDirectory), on: facts)
            return .problem(.fuseDevice, advice.message, fix: advice.hint)
        case .refused(let errno):
            let advice = MountAdvice(.device(errno), on: facts)
            return .problem(.fuseDevice, advice.message, fix: advice.hint)
        }
    }

    static func helper(_ facts: MountFacts, allowsOthers: Bool) -> Finding {
        if let trouble = MountAdvice.helperTrouble(facts) {
            if facts.hasCapability { return .ok(.helper, "\(trouble.message); not needed with CAP_SYS_ADMIN") }
            // Installing it mends nothing there.
            if facts.device != .usable && facts.helper == .missing {
                return .ok(.helper, "\(trouble.message); it would need /dev/fuse, too")
            }
            let use = "'mount' and 'run --shared' need it"
            return .warning(.helper, "\(trouble.message); \(use)", fix: trouble.fix)
        }
        guard case .usable(let path) = facts.helper else { return .ok(.helper, "fusermount3 is not needed") }
        if facts.hasCapability { return .ok(.helper, "\(path); not needed with CAP_SYS_ADMIN") }
        let others = allowsOthers ? "allowed" : "not allowed"
        return .ok(.helper, "\(path) is setuid root; --allow-other is \(others) (user_allow_other in /etc/fuse.conf)")
    }

    static func capability(_ facts: MountFacts) -> Finding {
        if !facts.hasCapability {
            let consequence = facts.isRoot ? "; root can mount in a user namespace only" : ""
            return .ok(.capability, "no CAP_SYS_ADMIN\(consequence)")
        }
        guard let failure = facts.mountFailure else {
            return .ok(.capability, "CAP_SYS_ADMIN: a private mount namespace can be made")
        }
        return .warning(
            .capability,
            "CAP_SYS_ADMIN, but no private mount namespace: \(MountAdvice.text(failure))",
            fix: MountAdvice.wayToMountNamespace(facts)
        )
    }

    static func userNamespaces(_ facts: MountFacts) -> Finding {
        guard let failure = facts.userFailure else {
            return .ok(.userNamespaces, "a file system can be mounted in a user namespace")
        }
        let message = "none can be used: \(MountAdvice.text(failure))"
        if facts.hasCapability && facts.mountFailure == nil {
            return .ok(.userNamespaces, "\(message); not needed with CAP_SYS_ADMIN")
        }
        return .warning(.userNamespaces, message, fix: MountAdvice.wayToNamespace(facts))
    }

    static func isolation(_ facts: MountFacts, hasSSHDropIns: Bool) -> Finding {
        guard let isolation = facts.isolation else {
            let advice = MountAdvice(facts)
            return .problem(
                .isolation,
                "'run' and 'mount' cannot mount: \(advice?.message ?? "unknown")",
                fix: advice?.hint
            )
        }
        switch isolation {
        case .mount:
            return .ok(.isolation, "mount: 'run' gets a private mount namespace")
        case .user:
            let ssh = hasSSHDropIns ? " (this host has that directory)" : ""
            return .ok(
                .isolation,
                "user: 'run' gets a user namespace, in which setuid programs such as sudo have no power, ssh refuses "
                    + "files of root in ssh_config.d\(ssh), and git the repositories of others",
                fix: "jobs that need those: run --shared"
            )
        case .none:
            return .warning(
                .isolation,
                "none: 'run' gets a shared mount, which every process of the user can see",
                fix: facts.hasCapability ? MountAdvice.wayToMountNamespace(facts) : MountAdvice.wayToNamespace(facts)
            )
        }
    }

    private static func allowsOthers(_ host: HostView) -> Bool {
        host.lines("/etc/fuse.conf").contains { $0.filter { $0 != " " && $0 != "\t" } == "user_allow_other" }
    }

    /// In a user namespace files of root belong to nobody, which ssh refuses of its configuration.
    private static func hasSSHDropIns(_ host: HostView) -> Bool {
        host.lines("/etc/ssh/ssh_config").contains { line in
            line.split { $0 == " " || $0 == "\t" }.first?.lowercased() == "include"
        } && host.entry("/etc/ssh/ssh_config.d")?.kind == .directory
    }
}
