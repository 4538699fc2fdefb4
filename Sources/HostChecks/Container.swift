// SPDX-License-Identifier: Apache-2.0

/// Container that the process is in, as far as that can be seen from inside.
package enum Container: String, Sendable, CaseIterable {
    case docker
    case podman
    case kubernetes
    case lxc
    case other

    /// The container of a host, or nil where it is none.
    package init?(_ host: HostView) {
        // What systemd tells every process of a container's init, or the manager left in a file.
        let word = host.variable("container") ?? host.text("/run/systemd/container").map { $0.filter { $0 != "\n" } }
        if host.variable("KUBERNETES_SERVICE_HOST") != nil {
            self = .kubernetes
        } else if host.entry("/run/.containerenv") != nil || word == "podman" {
            self = .podman
        } else if host.entry("/.dockerenv") != nil || word == "docker" {
            self = .docker
        } else if word?.hasPrefix("lxc") == true {
            self = .lxc
        } else if word != nil {
            self = .other
        } else {
            return nil
        }
    }

    /// Tells how to start it so that file systems can be mounted in it: with what is missing, and no more.
    ///
    /// - Parameters:
    ///   - needsDevice: whether `/dev/fuse` is missing.
    ///   - needsRights: whether nothing can be mounted in any namespace.
    ///   - isConfined: whether the profile of AppArmor that containers get by default holds it.
    /// - Returns: the command, or what to do.
    func remedy(needsDevice: Bool, needsRights: Bool, isConfined: Bool) -> String {
        func missing(_ device: String, _ rights: String, _ joint: String) -> String {
            [needsDevice ? device : nil, needsRights ? rights : nil].compactMap(\.self).joined(separator: joint)
        }
        switch self {
        case .docker, .podman:
            let profile = isConfined && needsRights ? " --security-opt apparmor=unconfined" : ""
            let flags = missing("--device /dev/fuse", "--cap-add SYS_ADMIN", " ")
            return "start the container with: \(rawValue) run \(flags)\(profile)"
        case .kubernetes:
            let device = "/dev/fuse (a device plugin, or a privileged container)"
            return "give the pod \(missing(device, "the capability SYS_ADMIN", " and "))"
        case .lxc:
            let entry = "lxc.mount.entry = /dev/fuse dev/fuse none bind,optional,create=file 0 0"
            return "add to the container's configuration: \(missing(entry, "lxc.apparmor.allow_nesting = 1", "; "))"
        case .other:
            let words = missing("the device /dev/fuse", "the capability CAP_SYS_ADMIN", " and ")
            return "start the container with \(words)"
        }
    }
}
