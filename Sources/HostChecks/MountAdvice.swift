// SPDX-License-Identifier: Apache-2.0

package import ProcessControl
internal import SystemCalls
package import SystemPackage

/// Advice where nothing could be mounted: why, and which of the ways to get it fits this host.
package struct MountAdvice: Sendable, Equatable {
    /// Obstacle to a mount.
    package enum Obstacle: Sendable, Equatable {
        /// Opening `/dev/fuse`.
        case device(Errno)
        /// mount(2) outside a user namespace, or umount2(2).
        case mount(Errno)
        /// Making the namespaces, or mount(2) in them.
        case namespace(NamespaceTrial.Failure)
        /// fusermount3 was not found, or refused.
        case helper
    }

    /// Way in which secrets were to be shown.
    package enum Way: Sendable {
        /// By a FUSE mount, best in a namespace.
        case best
        /// By a FUSE mount that others see.
        case shared
        /// As files in a namespace (`--backend ramfs`, `tmpfs`).
        case memory
        /// As files that others see (`--backend shm`).
        case files
    }

    /// Message: lower case, no full stop.
    package let message: String
    /// Next step.
    package let hint: String

    /// Chooses the advice for an obstacle on a host.
    package init(_ obstacle: Obstacle, on facts: MountFacts) {
        switch obstacle {
        case .device(let errno):
            self = Self.device(errno, facts)
        case .mount(let errno):
            message = "mounting is not permitted here: \(errno.message)"
            hint = Self.wayToMount(facts)
        case .namespace(let failure):
            message = "no namespace to mount in: \(Self.text(failure))"
            hint = Self.wayToNamespace(failure, facts) + Self.orWeaker(facts)
        case .helper:
            let trouble = Self.helperTrouble(facts)
            message = trouble?.message ?? "fusermount3 could not mount"
            let fix = trouble?.fix ?? "use a directory of your own that is empty"
            hint = fix + (facts.hasNamespace ? ", or run without --shared" : "") + Self.orWeaker(facts)
        }
    }

    private init(_ message: String, _ hint: String) {
        self.message = message
        self.hint = hint
    }

    /// The first thing in the way of showing secrets on a host, or nil where there is nothing that is known.
    ///
    /// - Parameters:
    ///   - facts: the host.
    ///   - way: how they were to be shown; what was tried is not advised.
    package init?(_ facts: MountFacts, way: Way = .best) {
        // As root the namespace of mounts is what is missing, for others that of users comes first.
        let failure = facts.hasCapability ? facts.mountFailure : facts.userFailure
        switch way {
        case .files: return nil
        case .memory:
            guard !facts.hasNamespace, let failure else { return nil }
            self.init(
                "no namespace to mount in: \(Self.text(failure))",
                Self.wayToNamespace(failure, facts) + Self.orWeaker(facts)
            )
        case .best, .shared:
            guard facts.isolation == nil || (way == .shared && !facts.canShare) else { return nil }
            switch facts.device {
            case .missing, .notADevice: self.init(.device(.noSuchFileOrDirectory), on: facts)
            case .refused(let errno): self.init(.device(errno), on: facts)
            case .usable:
                self.init(way == .shared ? .helper : failure.map { .namespace($0) } ?? .helper, on: facts)
            }
        }
    }

    /// The step that failed and why.
    static func text(_ failure: NamespaceTrial.Failure) -> String {
        let step =
            switch failure.step {
            case .start: "trying it"
            case .namespace: "making the namespace"
            case .privacy: "making mounts private"
            case .mount: "mounting"
            }
        return "\(step) failed: \(failure.errno.message)"
    }

    // MARK: The device

    private static func device(_ errno: Errno, _ facts: MountFacts) -> MountAdvice {
        switch errno {
        case .noSuchFileOrDirectory, .noSuchAddressOrDevice, .operationNotSupportedByDevice:
            let message = facts.device == .notADevice ? "/dev/fuse is not a device" : "there is no /dev/fuse"
            return MountAdvice(message, deviceRemedy(facts) + orWeaker(facts))
        default:
            let message = "/dev/fuse cannot be opened: \(errno.message)"
            if errno == .notPermitted, let remedy = facts.containerRemedy() {
                return MountAdvice(message, remedy + orWeaker(facts))
            }
            return MountAdvice(message, "\(facts.sudo)chmod 0666 /dev/fuse" + orWeaker(facts))
        }
    }

    private static func deviceRemedy(_ facts: MountFacts) -> String {
        if let remedy = facts.containerRemedy() { return remedy }
        if !facts.kernelHasFuse { return "load the module: \(facts.sudo)modprobe fuse" }
        if facts.device == .notADevice {
            return "\(facts.sudo)rm /dev/fuse, then \(facts.sudo)mknod -m 0666 /dev/fuse c 10 229"
        }
        return "\(facts.sudo)mknod -m 0666 /dev/fuse c 10 229"
    }

    // MARK: Namespaces and the helper

    /// Tells how to get a namespace to mount in, after a failure.
    private static func wayToNamespace(_ failure: NamespaceTrial.Failure, _ facts: MountFacts) -> String {
        facts.hasCapability ? wayToMountNamespace(facts) : wayToNamespace(facts)
    }

    /// Tells how an ordinary user, or root without its capability, gets namespaces.
    static func wayToNamespace(_ facts: MountFacts) -> String {
        if facts.userFailure?.step == .start { return wayToStart }
        switch facts.restriction {
        case .notBuilt:
            return "the kernel has no user namespaces (CONFIG_USER_NS)"
                + (helperTrouble(facts).map { ": \($0.fix)" } ?? ", which only another kernel gives")
        case .limit: return "\(facts.sudo)sysctl -w user.max_user_namespaces=15000"
        case .clone: return "\(facts.sudo)sysctl -w kernel.unprivileged_userns_clone=1"
        case .appArmor where facts.container == nil:
            return "allow credfs user namespaces in a profile of AppArmor (userns,), or "
                + "\(facts.sudo)sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
        case .appArmor, nil:
            return facts.containerRemedy() ?? seeFilter(facts)
        }
    }

    /// Advice where not even a process could be started: it says nothing of namespaces.
    private static let wayToStart = "run it again where a process can be started: see ulimit -n and ulimit -u"

    /// Tells how a process with CAP_SYS_ADMIN gets a mount namespace.
    static func wayToMountNamespace(_ facts: MountFacts) -> String {
        if facts.mountFailure?.step == .start { return wayToStart }
        if facts.isInChroot {
            return "make the new root directory a mount point before chroot(1): mount --bind DIR DIR; or run it outside"
        }
        return facts.containerRemedy() ?? seeFilter(facts)
    }

    private static func seeFilter(_ facts: MountFacts) -> String {
        "see which security module or seccomp filter refuses it: \(facts.sudo)dmesg; behind chroot(1) nobody gets one"
    }

    private static func wayToMount(_ facts: MountFacts) -> String {
        if facts.isRoot {
            return (facts.containerRemedy(forHelper: true) ?? "run it with the capability CAP_SYS_ADMIN")
                + orWeaker(facts)
        }
        return (helperTrouble(facts)?.fix ?? "\(wayToNamespace(facts))") + orWeaker(facts)
    }

    private static func installHelper(_ facts: MountFacts) -> String {
        "\(facts.sudo)apt-get install fuse3"
    }

    /// Finds what is wrong with fusermount3, and how to fix it.
    static func helperTrouble(_ facts: MountFacts) -> (message: String, fix: String)? {
        switch facts.helper {
        case .missing where !facts.isCapabilityInReach && facts.container != nil:
            return ("there is no fusermount3, and it could have no rights here", helperRights(facts))
        case .missing:
            return ("there is no fusermount3", installHelper(facts))
        case .powerless(let path) where facts.isInUserNamespace:
            return (
                "\(path) has no power in this user namespace",
                "run it outside, for example not below a 'credfs run' without --shared"
            )
        case .powerless(let path):
            return (
                "\(path) is not setuid root, so it cannot mount",
                "\(facts.sudo)chown root \(path) && \(facts.sudo)chmod 4755 \(path)"
            )
        case .usable where facts.hasCapability: return nil
        case .usable(let path) where !facts.isCapabilityInReach:
            return (
                "\(path) cannot have CAP_SYS_ADMIN here", helperRights(facts)
            )
        case .usable(let path) where facts.hasNoNewPrivileges:
            return (
                "\(path) gets no rights here: the process has no_new_privs",
                "start credfs without no_new_privs (systemd: NoNewPrivileges=no)"
            )
        case .usable: return nil
        }
    }

    private static func helperRights(_ facts: MountFacts) -> String {
        facts.containerRemedy(forHelper: true)
            ?? "start credfs with CAP_SYS_ADMIN in the bounding set (systemd: CapabilityBoundingSet=)"
    }

    /// The backend that works without what is missing; weaker, so it has to be chosen by name.
    private static func orWeaker(_ facts: MountFacts) -> String {
        "; or choose a weaker one: --backend \(facts.hasNamespace ? "ramfs" : "shm")"
    }
}
