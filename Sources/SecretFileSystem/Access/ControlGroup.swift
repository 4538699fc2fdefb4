// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SystemCalls

/// The systemd unit and the container that a process belongs to, out of its control group (cgroups(7)).
///
/// The unit is the outermost one, since a user who may make control groups below a unit of the system can give them any
/// name. A unit of a user's own manager is `user@UID.service/NAME`.
package struct ControlGroup: Sendable, Equatable {
    /// The unit of the system's manager, or of a user's with `user@UID.service/` before it.
    package private(set) var unit: String?
    /// The identifier of a container: 64 hexadecimal digits, as docker, podman, containerd and CRI-O make them.
    package private(set) var container: String?

    /// Reads what the kernel says of a process now.
    package static func of(_ process: Int32) -> ControlGroup {
        let text = try? OwnedDescriptor.open("/proc/\(process)/cgroup", O_RDONLY).readText(limit: 8192)
        return ControlGroup(membership: text ?? "")
    }

    /// Makes the group of a unit that is known by other means.
    package init(unit: String) {
        self.unit = unit
    }

    /// Reads the text of /proc/PID/cgroup: the unified hierarchy, else that of systemd (version 1).
    package init(membership: String) {
        let lines = membership.parts(at: "\n").map { $0.parts(at: ":", maxSplits: 2, omittingEmptySubsequences: false) }
        let line =
            (lines.first { $0.count == 3 && $0[0] == "0" && $0[1].isEmpty && $0[2] != "/" }
            ?? lines.first { $0.count == 3 && $0[1] == "name=systemd" })?[2]
        guard let line else { return }
        let parts = line.parts(at: "/").filter { $0 != ".." }
        container = parts.lazy.compactMap(Self.container).first
        let units = parts.filter { !$0.hasSuffix(".slice") }
        guard let outer = units.first, Self.isUnit(outer) else { return }
        unit = String(outer)
        if outer.hasPrefix("user@"), units.count > 1, Self.isUnit(units[1]) { unit = "\(outer)/\(units[1])" }
    }

    /// Names that a rule may have: the unit, the container.
    package var names: [String] { [unit, container].compactMap(\.self) }

    private static func isUnit(_ part: Substring) -> Bool {
        [".service", ".scope", ".socket", ".mount", ".swap"].contains { part.hasSuffix($0) }
    }

    /// `ID`, `docker-ID.scope`, `libpod-ID.scope`, `cri-containerd-ID.scope`.
    private static func container(_ part: Substring) -> String? {
        let stem = part.hasSuffix(".scope") ? part.dropLast(6) : part
        let identifier = stem.parts(at: "-").last ?? ""
        let isHexadecimal = identifier.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        return identifier.utf8.count == 64 && isHexadecimal ? String(identifier) : nil
    }
}
