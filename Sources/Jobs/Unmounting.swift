// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SystemCalls
internal import SystemPackage

/// Ending mounts from outside.
package enum Unmounting {
    /// How long a server is given to end by itself.
    private static let patience = Duration.seconds(5)

    /// Ends a mount that was found in the records.
    ///
    /// A living server ends it itself, so that the kernel is told to forget; one that does not is killed.
    ///
    /// - Throws: class `mount` where it stays.
    package static func end(_ found: FoundMount, in runtime: RuntimeDirectory) throws(MountError) {
        if found.isLive {
            try? Children.send(SIGTERM, to: found.mount.pid)
            waitForServer(of: found.mount, in: runtime)
        }
        if isMounted(found.mount.path) { try SharedMount.detach(found.mount.path) }
        if current(found.mount, in: runtime)?.isLive == true {
            try? Children.send(SIGKILL, to: found.mount.pid)
            waitForServer(of: found.mount, in: runtime)
        }
        current(found.mount, in: runtime)?.forget(in: runtime)
        runtime.removeDirectory(found.mount.id)
    }

    private static func waitForServer(of mount: LiveMount, in runtime: RuntimeDirectory) {
        let deadline = ContinuousClock.now + patience
        while ContinuousClock.now < deadline, current(mount, in: runtime)?.isLive == true { usleep(2000) }
    }

    private static func current(_ mount: LiveMount, in runtime: RuntimeDirectory) -> FoundMount? {
        FoundMount.all(in: runtime).first { $0.mount.id == mount.id }
    }

    /// Ends whatever of ours is mounted at a path.
    ///
    /// - Throws: class `place` where there is nothing.
    package static func end(at directory: String, in runtime: RuntimeDirectory) throws(MountError) {
        // By its name first: a server that was stopped would let us wait.
        let named = FoundMount.all(in: runtime).contains { $0.mount.path == directory }
        let path = named ? directory : resolved(directory)
        if let found = FoundMount.all(in: runtime).first(where: { $0.mount.kind == .mount && $0.mount.path == path }) {
            return try end(found, in: runtime)
        }
        guard isMounted(path) else {
            throw MountError(
                .place,
                "nothing of credfs is mounted at \(directory)",
                hint: "see what is with: credfs status"
            )
        }
        try SharedMount.detach(path)
    }

    /// Takes away what killed servers left: mounts, directories and records.
    ///
    /// Only what is recorded: a mount of somebody else's that is asked whether it lives may let us wait for ever.
    ///
    /// - Returns: what was taken away.
    @discardableResult
    package static func clean(_ runtime: RuntimeDirectory) -> [String] {
        var paths: [String] = []
        for found in FoundMount.all(in: runtime) where !found.isLive {
            if isMounted(found.mount.path) {
                guard (try? SharedMount.detach(found.mount.path)) != nil else { continue }
            }
            runtime.removeDirectory(found.mount.id)
            found.forget(in: runtime)
            paths.append(found.mount.path)
        }
        return paths
    }

    private static func isMounted(_ path: String) -> Bool {
        MountTable.entries().contains { $0.path == path }
    }

    /// The path as the table of mounts has it, as far as it can be found out: a dead mount cannot be looked into.
    private static func resolved(_ directory: String) -> String {
        if let place = try? OwnedDescriptor.open(directory, O_RDONLY | O_DIRECTORY),
            let path = try? place.resolvedPath()
        {
            return path
        }
        var path = directory
        while path.utf8.count > 1 && path.hasSuffix("/") { path.removeLast() }
        guard !path.hasPrefix("/"), let base = try? OwnedDescriptor.workingDirectory() else { return path }
        return "\(base)/\(path)"
    }
}
