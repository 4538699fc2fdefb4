// SPDX-License-Identifier: Apache-2.0

package import ProcessControl
internal import SystemCalls
package import SystemPackage

/// Facts that decide how a file system can be mounted on a host.
package struct MountFacts {
    /// The device.
    package enum Device: Sendable, Equatable {
        case usable
        case missing
        case notADevice
        case refused(Errno)
    }

    /// The program that mounts for users without privileges.
    package enum Helper: Sendable, Equatable {
        case missing
        /// There, but it gets no rights of its own.
        case powerless(path: String)
        case usable(path: String)
    }

    /// Restriction of user namespaces for ordinary users.
    package enum Restriction: Sendable, Equatable {
        /// The kernel was built without them.
        case notBuilt
        /// `user.max_user_namespaces` is 0.
        case limit
        /// `kernel.unprivileged_userns_clone` is 0.
        case clone
        /// `kernel.apparmor_restrict_unprivileged_userns` is 1.
        case appArmor
    }

    package var isRoot: Bool
    package var sudo: String
    package var device: Device
    /// Procfs is mounted.
    package var hasProc: Bool
    /// The kernel lists the file system.
    package var kernelHasFuse: Bool
    /// The process has CAP_SYS_ADMIN.
    package var hasCapability: Bool
    /// A program that is setuid could have CAP_SYS_ADMIN.
    package var isCapabilityInReach: Bool
    /// Programs that are setuid get no rights here (no_new_privs).
    package var hasNoNewPrivileges: Bool
    package var helper: Helper
    /// The users of this process are not all those of the machine.
    package var isInUserNamespace: Bool
    package var restriction: Restriction?
    /// Failure to mount in a namespace of its own, without and with a user namespace.
    package var mountFailure: NamespaceTrial.Failure?
    package var userFailure: NamespaceTrial.Failure?
    package var container: Container?
    /// The default profile of AppArmor for containers confines this process.
    package var isConfined: Bool

    private static let systemAdministration = 21

    /// Looks at a host.
    package init(_ host: HostView) {
        isRoot = host.isRoot
        sudo = host.sudo
        device = Self.device(host)
        hasProc = host.hasProc
        // Without procfs nobody tells; a module is not what is missing then.
        kernelHasFuse =
            !hasProc || host.lines("/proc/filesystems").contains { $0.split(separator: "\t").last == "fuse" }
        hasCapability = host.hasCapability(Self.systemAdministration)
        isCapabilityInReach = host.hasCapability(Self.systemAdministration, in: "CapBnd")
        hasNoNewPrivileges = host.processStatus("NoNewPrivs") == "1"
        helper = Self.helper(host)
        isInUserNamespace = host.lines("/proc/self/uid_map").first.map { !$0.hasSuffix(" 4294967295") } ?? false
        restriction = Self.restriction(host)
        mountFailure = hasCapability ? host.calls.namespaces(false) : NamespaceTrial.Failure(.namespace, .notPermitted)
        userFailure = host.calls.namespaces(true)
        container = Container(host)
        isConfined = host.text("/proc/self/attr/current").map { $0.hasPrefix("docker-default") } ?? false
    }

    /// The isolation that `run` gets, or nil where nothing can be mounted.
    package var isolation: Isolation? {
        guard device == .usable else { return nil }
        if hasCapability && mountFailure == nil { return .mount }
        if userFailure == nil { return .user }
        return canShare ? Isolation.none : nil
    }

    /// A file system can be mounted in a namespace of its own.
    var hasNamespace: Bool { (hasCapability && mountFailure == nil) || userFailure == nil }

    /// A mount that others see can be made: by credfs itself where it has the right, else by fusermount3.
    ///
    /// A namespace can be refused, or its mounts not be made private, as in a chroot, where mount(2) itself works.
    var canShare: Bool {
        hasCapability ? mountFailure?.step != .mount : MountAdvice.helperTrouble(self) == nil
    }

    /// The root directory is known to be no mount point, as after chroot(2).
    var isInChroot: Bool { mountFailure == NamespaceTrial.Failure(.privacy, .invalidArgument) }

    /// Tells how to start the container with what is missing in it; nil outside of containers.
    ///
    /// - Parameter forHelper: whether fusermount3 is to work, whatever namespaces there are.
    /// - Returns: the command, or what to do.
    func containerRemedy(forHelper: Bool = false) -> String? {
        let needsDevice = device != .usable
        return container?.remedy(
            needsDevice: needsDevice,
            needsRights: forHelper || !hasNamespace || !needsDevice,
            isConfined: isConfined
        )
    }

    private static func device(_ host: HostView) -> Device {
        guard let entry = host.entry("/dev/fuse") else { return .missing }
        guard entry.kind == .characterDevice else { return .notADevice }
        guard let errno = host.calls.openDevice() else { return .usable }
        // A device node without a driver behind it.
        return errno == .noSuchAddressOrDevice || errno == .operationNotSupportedByDevice ? .missing : .refused(errno)
    }

    private static func helper(_ host: HostView) -> Helper {
        guard let path = FuseMount.helperPlaces.first(where: { host.isProgram($0) }), let entry = host.entry(path)
        else { return .missing }
        let hasPower = entry.owner == 0 && entry.permissions & 0o4000 != 0
        return hasPower || host.isRoot ? .usable(path: path) : .powerless(path: path)
    }

    private static func restriction(_ host: HostView) -> Restriction? {
        guard host.hasProc else { return nil }
        if host.entry("/proc/self/ns/user", followingLink: false) == nil { return .notBuilt }
        if host.number("/proc/sys/user/max_user_namespaces") == 0 { return .limit }
        if host.isRoot { return nil }
        if host.number("/proc/sys/kernel/unprivileged_userns_clone") == 0 { return .clone }
        if host.number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1 { return .appArmor }
        return nil
    }
}
