// SPDX-License-Identifier: Apache-2.0

internal import SystemCalls

/// The mounts of credfs that this process can see.
package enum VisibleMounts {
    /// State of a mount, by its answer.
    package enum State: Sendable, Equatable {
        /// Somebody serves it.
        case live
        /// Its server has gone.
        case stale
        /// Its server is stopped.
        case silent
        /// It does not say, for example to others than its owner.
        case unknown
    }

    /// The file system type of a mount of ours.
    package static let type = "fuse.credfs"

    /// Mount points of credfs, in the order of the kernel.
    package static func paths(_ host: HostView) -> [String] {
        host.lines("/proc/self/mountinfo").compactMap { MountInfo(line: $0) }.filter { $0.type == type }.map(\.path)
    }

    /// The mounts whose process has gone.
    ///
    /// The one place that decides this: a registry of live mounts would be asked here.
    package static func stalePaths(_ host: HostView) -> [String] {
        paths(host).filter { host.calls.mountState($0) == .stale }
    }
}
