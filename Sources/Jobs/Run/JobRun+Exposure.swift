// SPDX-License-Identifier: Apache-2.0

internal import ProcessControl
internal import SecretFileSystem
internal import SystemCalls

/// Choice of how the secrets of a job are shown.
extension JobRun {
    /// The isolations to try, best first.
    func isolations() throws(MountError) -> [Isolation] {
        let showsFiles = [.ramfs, .tmpfs].contains(settings.backend) && content.snapshot != nil
        if settings.isShared || settings.backend == .shm {
            guard !showsFiles else {
                throw MountError(.usage, "the backend \(settings.backend.rawValue) needs a private namespace")
            }
            return [.none]
        }
        // A job that gets no secrets is not to see the key either.
        // A user namespace of our own has one user.
        let nested: [Isolation] = settings.isForAnotherUser ? [] : [.user]
        let own: [Isolation] = ProcessAttributes.hasCapability(.sysAdmin) ? [.mount] + nested : nested
        // Whoever else could see such files could read them.
        return showsFiles ? own : own + [.none]
    }

    /// The exposure by an isolation.
    func exposure(_ isolation: Isolation) -> any Exposure {
        let path = "\(isolation == .none ? runtime.path : runtime.jobs)/\(id)"
        func directory(_ mode: UInt16) -> OwnDirectory? {
            isolation == .none ? OwnDirectory(runtime: runtime, name: id, mode: mode) : nil
        }
        guard let snapshot = content.snapshot else {
            return EmptyDirectory(isolation, path: path, making: directory(0o500))
        }
        let rules = settings.rules
        guard settings.backend == .fuse else {
            return PlainFiles(content, settings.backend, isolation, id: id, path: path, ownership: rules.ownership)
        }
        let fileSystem = SecretFileSystem(
            snapshot,
            ownership: rules.ownership,
            access: rules.access(supervisor: ProcessAttributes.processID)
        )
        let audit = { [recording, id] () throws(MountError) in try recording(id) }
        return isolation == .none
            ? SharedMount(fileSystem, options, path: path, making: directory(0o700), audit: audit)
            : PrivateMount(fileSystem, options, isolation, path: path, audit: audit)
    }

    private var options: FuseMount.Options {
        settings.rules.options(maximumReadByteCount: ServedMount.maximumReadByteCount())
    }

    /// The mount that the launcher of the job makes.
    func plan(_ exposure: any Exposure) -> Job.MountPlan {
        Job.MountPlan(
            isolation: exposure.isolation,
            backend: exposure.backend,
            jobs: runtime.jobs,
            name: id,
            options: options,
            maskedPaths: exposure.isolation == .none ? [] : settings.maskedPaths
        )
    }

    /// The record of the mount.
    func description(_ exposure: any Exposure) -> LiveMount {
        LiveMount(
            id: id,
            kind: .run,
            path: exposure.path,
            pid: ProcessAttributes.processID,
            store: content.store,
            generation: content.snapshot?.generation ?? 0,
            auth: content.auth,
            isolation: exposure.isolation,
            backend: exposure.backend
        )
    }
}
