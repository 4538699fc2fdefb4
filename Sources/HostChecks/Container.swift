// SPDX-License-Identifier: Apache-2.0

/// What kind of container the process is in, as far as that can be seen from inside.
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

    /// How it is started so that file systems can be mounted in it.
    ///
    /// - Parameter isConfined: whether the profile of AppArmor that containers get by default holds it.
    /// - Returns: the command, or what to do.
    func remedy(isConfined: Bool) -> String {
        let profile = isConfined ? " --security-opt apparmor=unconfined" : ""
        switch self {
        case .docker, .podman:
            return "start the container with: \(rawValue) run --device /dev/fuse --cap-add SYS_ADMIN\(profile)"
        case .kubernetes:
            return "give the pod /dev/fuse (a device plugin, or a privileged container) and the capability SYS_ADMIN"
        case .lxc:
            return "add to the container's configuration: "
                + "lxc.mount.entry = /dev/fuse dev/fuse none bind,optional,create=file 0 0"
        case .other:
            return "start the container with the device /dev/fuse and the capability CAP_SYS_ADMIN"
        }
    }
}
