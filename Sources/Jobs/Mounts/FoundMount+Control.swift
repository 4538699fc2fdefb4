// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import ProcessControl
internal import SystemCalls
internal import SystemPackage

extension FoundMount {
    /// Finds the live mount of a directory or identifier; of nil the only one.
    ///
    /// - Throws: class `place` where there is none, `usage` where there are several.
    package static func named(_ text: String?, in runtime: RuntimeDirectory) throws(MountError) -> FoundMount {
        let live = all(in: runtime).filter(\.isLive)
        let hint = "see what is with: credfs status"
        guard let text else {
            guard let only = live.first else { throw MountError(.place, "nothing is mounted", hint: hint) }
            guard live.count == 1 else {
                throw MountError(
                    .usage,
                    "\(live.count) mounts are live",
                    hint: "name the directory or the identifier of one: credfs status --json"
                )
            }
            return only
        }
        let path = (try? MountPlace.resolved(text)) ?? text
        guard let found = live.first(where: { $0.mount.id == text || $0.mount.path == path || $0.mount.path == text })
        else { throw MountError(.place, "nothing of credfs is mounted at \(text)", hint: hint) }
        return found
    }

    /// Waits until another generation is served, as its record tells, which is written when readers see it.
    ///
    /// - Parameters:
    ///   - generation: the one that is known; nil is the one that is served now.
    ///   - timeout: how long at most; nil waits for ever.
    ///   - runtime: the directory that it was found in.
    /// - Returns: the other generation; nil where the time was up first.
    /// - Throws: class `place` where the mount has ended.
    package func waitForChange(
        since generation: UInt64?,
        within timeout: Duration?,
        in runtime: RuntimeDirectory
    ) throws(MountError) -> UInt64? {
        let deadline = timeout.map { ContinuousClock.now + $0 }
        let watch = try MountError.wrapping(.failed, "watch \(runtime.path)/live") { () throws(Errno) in
            try DirectoryWatch(of: "\(runtime.path)/live")
        }
        let known = generation ?? mount.generation
        while true {
            guard let now = present(in: runtime) else {
                throw MountError(.place, "the mount at \(mount.path) has ended")
            }
            if now != known { return now }
            if let deadline, deadline <= .now { return nil }
            _ = try MountError.wrapping(.failed, "wait for a change") { () throws(Errno) in
                try Readiness.wait(for: [watch.number], timeout: deadline.map { $0 - .now })
            }
            _ = watch.take()
        }
    }

    /// The generation that is served now; nil once the mount has ended.
    private func present(in runtime: RuntimeDirectory) -> UInt64? {
        // A record that is being written can be no record for a moment.
        for attempt in 0..<20 {
            let all = FoundMount.all(in: runtime)
            if let found = all.first(where: { $0.mount.id == mount.id }) {
                return found.isLive ? found.mount.generation : nil
            }
            if attempt > 0 { usleep(5000) }
        }
        return nil
    }

    /// Asks the server of the mount through its control socket.
    ///
    /// - Throws: class `mount` where nobody answers, or its process is stopped.
    package func ask(
        _ request: ControlRequest,
        descriptor: Int32 = -1,
        in runtime: RuntimeDirectory,
        user: UInt32,
        within patience: Duration = ControlClient.patience
    ) throws(MountError) -> ControlAnswer {
        guard !mount.isWaiting else {
            throw MountError(
                .mount,
                "\(mount.path) has no server now: it waits for the next one",
                hint: "start one: credfs mount --keeper \(quoted(mount.path))"
            )
        }
        let directory = try runtime.openControl()
        do throws(Errno) {
            return try ControlClient.ask(
                request,
                descriptor: descriptor,
                of: mount.id,
                in: directory,
                user: user,
                within: patience,
                goingOn: { [pid = mount.pid] in !ProcessTree.isStopped(pid) }
            )
        } catch .canceled {
            throw MountError(
                .mount,
                "the server of \(mount.path) is stopped and answers nobody",
                hint: "let it go on: kill -CONT \(mount.pid)"
            )
        } catch {
            throw MountError(
                .mount,
                "the server of \(mount.path) does not answer: \(error.message)",
                hint: "see whether it is stopped: ps -o stat= -p \(mount.pid)"
            )
        }
    }
}
