// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SystemCalls
internal import SystemPackage

/// Ending mounts from outside.
package enum Unmounting {
    /// Time for a server to end by itself.
    private static let patience = Duration.seconds(5)

    /// Ends a mount that was found in the records.
    ///
    /// A living server ends it itself, so that the kernel is told to forget; one that does not is killed.
    ///
    /// - Throws: class `mount` where it stays.
    package static func end(_ found: FoundMount, in runtime: RuntimeDirectory) throws(MountError) {
        if found.isWithinReach {
            try? Children.send(SIGTERM, to: found.mount.pid)
            waitForServer(of: found.mount, in: runtime)
        }
        if MountTable.has(found.mount.path) { try Mounter.detach(found.mount.path) }
        if current(found.mount, in: runtime)?.isWithinReach == true {
            try? Children.send(SIGKILL, to: found.mount.pid)
            waitForServer(of: found.mount, in: runtime)
        }
        current(found.mount, in: runtime)?.forget(in: runtime)
        runtime.removeDirectory(found.mount.id)
    }

    private static func waitForServer(of mount: LiveMount, in runtime: RuntimeDirectory) {
        let deadline = ContinuousClock.now + patience
        while ContinuousClock.now < deadline, current(mount, in: runtime)?.isLive == true { usleep(2000) }
        guard current(mount, in: runtime) == nil else { return }
        // The last thing that it lets go of is the runtime directory, which the last one out removes.
        let end = min(deadline, .now + .seconds(1))
        while ContinuousClock.now < end, ProcessTree.isRunning(mount.pid) { usleep(1000) }
    }

    private static func current(_ mount: LiveMount, in runtime: RuntimeDirectory) -> FoundMount? {
        FoundMount.all(in: runtime).first { $0.mount.id == mount.id }
    }

    /// Ends whatever of ours is mounted at a path.
    ///
    /// - Returns: its identifier; nil for a mount that is recorded nowhere.
    /// - Throws: class `place` where there is nothing.
    package static func end(at directory: String, in runtime: RuntimeDirectory) throws(MountError) -> String? {
        let path = (try? MountPlace.resolved(directory)) ?? directory
        let found = FoundMount.all(in: runtime).first { $0.mount.path == path }
        if let found, found.mount.kind == .run, found.isLive {
            throw MountError(.place, "\(directory) is the mount of a job", hint: "end the job: kill \(found.mount.pid)")
        }
        if let found {
            try end(found, in: runtime)
            return found.mount.id
        }
        guard MountTable.has(path) else {
            throw MountError(
                .place,
                "nothing of credfs is mounted at \(directory)",
                hint: "see what is with: credfs status"
            )
        }
        try Mounter.detach(path)
        return nil
    }

    /// Takes away what killed servers left: mounts, directories and records.
    ///
    /// Only what is recorded: a mount of somebody else's that is asked whether it lives may let us wait for ever.
    ///
    /// - Returns: what was taken away.
    @discardableResult
    package static func clean(_ runtime: RuntimeDirectory) -> [String] {
        FoundMount.removeDrafts(in: runtime)
        EditDirectory.removeLeft(in: runtime)
        MountControl.removeLeft(in: runtime)
        var paths: [String] = []
        for found in FoundMount.all(in: runtime) where !found.isLive {
            if found.mount.backend == .shm { PlainFiles.removeWhatIsLeft(of: found.mount.id) }
            if MountTable.has(found.mount.path) {
                guard (try? Mounter.detach(found.mount.path)) != nil else { continue }
            }
            runtime.removeDirectory(found.mount.id)
            found.forget(in: runtime)
            paths.append(found.mount.path)
        }
        return paths
    }
}
