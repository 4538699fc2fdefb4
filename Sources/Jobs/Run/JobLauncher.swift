// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
internal import SystemCalls
internal import SystemPackage

/// The process that becomes the job: it has one thread, so it can enter namespaces; there it mounts, hands the device
/// to the process that serves, waits for its word, and runs the program.
///
/// It is forked where the process that serves has no other thread yet, which costs a third of executing credfs again.
package enum JobLauncher {
    /// The first argument that makes credfs this process.
    package static let mode = "enter-job"
    /// The message that lets it go on.
    static let go = Array("go".utf8)
    private static let failedStatus: Int32 = 125

    private typealias Failure = StepFailure<JobLauncherStep>

    /// The whole life of the process that was executed for it, unless it becomes the job.
    ///
    /// - Parameter arguments: those of the process, byte by byte.
    /// - Returns: the exit status.
    package static func main(_ arguments: [[UInt8]]) -> Int32 {
        let words = arguments.dropFirst(2).map { String(decoding: $0, as: UTF8.self) }
        guard let (request, count) = JobLauncherRequest.parse(words) else { return failedStatus }
        return launch(request, Array(arguments.dropFirst(2 + count)), environment: nil)
    }

    /// Becomes the job.
    ///
    /// The process is not hardened like the others: one that is not dumpable may not write its own user map, and the job
    /// that it becomes can be looked into anyway.
    ///
    /// - Parameters:
    ///   - request: what is to be done before.
    ///   - command: the program and its arguments.
    ///   - environment: its environment; nil for that of this process.
    /// - Returns: the exit status, where it did not become the job.
    static func launch(_ request: JobLauncherRequest, _ command: [[UInt8]], environment: [[UInt8]]?) -> Int32 {
        let socket = MessageSocket(owning: request.socket)
        do throws(Failure) {
            let hasParent = try Failure.attempt(.restore) { () throws(Errno) in
                try socket.descriptor.closeOnExec()
                try ProcessAttributes.setDumpable(true)
                return try ParentDeath.follow(request.parent, with: SIGKILL)
            }
            guard hasParent else { return failedStatus }
            let device = try prepare(request)
            try Failure.attempt(.restore) { () throws(Errno) in
                try socket.send(JobLauncherAnswer.ready.bytes, descriptor: device.number)
            }
            let message = socket.receiveBytes()
            guard message == go else { return failedStatus }
            _ = consume device
            if request.plan.backend == .ramfs || request.plan.backend == .tmpfs { try seal(request) }
            try leave(request)
            let refusal = Program.exec(command, environment: environment) { name in
                !request.givesPath && name == Array("PATH".utf8)
            }
            throw Failure(.program, refusal)
        } catch {
            try? socket.send(JobLauncherAnswer.failed(error).bytes)
            return failedStatus
        }
    }

    /// Enters the namespaces and mounts.
    ///
    /// - Returns: the device, or the directory that files are to be written to; something of no use where nothing was
    ///   mounted here.
    private static func prepare(_ request: JobLauncherRequest) throws(Failure) -> OwnedDescriptor {
        guard request.plan.isolation != .none else {
            return try Failure.attempt(.device) { () throws(Errno) in try OwnedDescriptor.open("/dev/null", O_RDONLY) }
        }
        try Failure.attempt(.namespace) { () throws(Errno) in
            try Namespaces.unshare(users: request.plan.isolation == .user)
            try Namespaces.makeSlave()
        }
        try Failure.attempt(.memory) { () throws(Errno) in try coverJobs(request) }
        if request.plan.backend == .none {
            try close(request)
            return try Failure.attempt(.device) { () throws(Errno) in try OwnedDescriptor.open("/dev/null", O_RDONLY) }
        }
        let place = "\(request.plan.jobs)/\(request.plan.name)"
        if request.plan.backend == .ramfs || request.plan.backend == .tmpfs {
            let directory = try Failure.attempt(.memory) { () throws(Errno) in try mountMemory(request, at: place) }
            try close(request)
            return directory
        }
        let device = try Failure.attempt(.device) { () throws(Errno) in try FuseMount.openDevice() }
        try Failure.attempt(.mount) { () throws(Errno) in
            try FuseMount.mount(device, at: place, request.plan.options)
        }
        try close(request)
        return device
    }

    /// Hides what the job shall not see, and leaves nothing that it could write.
    private static func close(_ request: JobLauncherRequest) throws(Failure) {
        try Failure.attempt(.cover) { () throws(Errno) in
            try mask(request)
            try MemoryMount.makeReadOnly(request.plan.jobs)
        }
    }

    /// Puts an empty file system over the directory of jobs, and in it what an outer job has there.
    private static func coverJobs(_ request: JobLauncherRequest) throws(Errno) {
        let before = try OwnedDescriptor.open(request.plan.jobs, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        var outer: [(name: String, number: Int32)] = []
        for name in try before.entryNames() {
            // Nothing is asked of who serves it, who may be dead.
            if let entry = try? before.openEntry(name) { outer.append((name, entry.release())) }
        }
        // Root mounts for others, who have to pass through.
        let mode: UInt16 = ProcessAttributes.effectiveUser == 0 ? 0o711 : 0o700
        try MemoryMount.mount(.tmpfs, at: request.plan.jobs, mode: mode, isCover: true)
        let now = try OwnedDescriptor.open(request.plan.jobs, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        for (name, number) in outer {
            let entry = OwnedDescriptor(owning: number)
            // An outer job that cannot be shown is only hidden.
            try? now.makeDirectory(name, mode: 0o500)
            try? MemoryMount.bind("/proc/self/fd/\(entry.number)", onto: "\(request.plan.jobs)/\(name)")
        }
        try now.makeDirectory(request.plan.name, mode: 0o500)
    }

    /// Mounts a file system for plain files.
    ///
    /// - Returns: its directory, open below the read-only mount that will be put over it.
    private static func mountMemory(_ request: JobLauncherRequest, at place: String) throws(Errno) -> OwnedDescriptor {
        if request.plan.backend == .ramfs {
            try MemoryMount.mount(.ramfs, at: place, mode: 0o700)
        } else {
            do throws(Errno) {
                try MemoryMount.mount(.tmpfs, at: place, mode: 0o700, unswappable: true)
            } catch {
                // Linux before 6.4, or a user namespace.
                try MemoryMount.mount(.tmpfs, at: place, mode: 0o700)
            }
        }
        return try OwnedDescriptor.open(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    }

    /// Puts a read-only view over the files, which their writer can still reach below it.
    private static func seal(_ request: JobLauncherRequest) throws(Failure) {
        let place = "\(request.plan.jobs)/\(request.plan.name)"
        try Failure.attempt(.memory) { () throws(Errno) in
            try MemoryMount.bind(place, onto: place)
            try MemoryMount.makeReadOnly(place)
        }
    }

    /// Puts something empty over everything that the job shall not see.
    private static func mask(_ request: JobLauncherRequest) throws(Errno) {
        guard !request.plan.maskedPaths.isEmpty else { return }
        let jobs = try OwnedDescriptor.open(request.plan.jobs, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        let empty = ".empty"
        _ = try jobs.open(empty, O_WRONLY | O_CREAT | O_EXCL, mode: 0o400)
        let here = try? WorkingDirectory()
        for path in request.plan.maskedPaths {
            let status: FileStatus
            do throws(Errno) { status = try OwnedDescriptor.openPath(path).status() } catch {
                if error == .noSuchFileOrDirectory { continue }
                throw error
            }
            // What is to be left by its name is not asked for one: it would stay open below its cover.
            if request.workingDirectory.isEmpty, let here, here.isBelow(status) { throw .permissionDenied }
            if status.kind == .directory {
                try MemoryMount.mount(.tmpfs, at: path, mode: 0o500, isCover: true)
            } else {
                try MemoryMount.bind("\(request.plan.jobs)/\(empty)", onto: path)
            }
            try MemoryMount.makeReadOnly(path)
        }
        try jobs.unlink(empty)
    }

    private static func enterWorkingDirectory(_ request: JobLauncherRequest) throws(Errno) {
        do throws(Errno) {
            try OwnedDescriptor.changeWorkingDirectory(to: request.workingDirectory)
        } catch {
            // One that cannot be entered again is kept, as every program keeps it, unless it lies below a cover: then
            // its name leads to nothing.
            guard error == .permissionDenied else { throw error }
        }
    }

    /// Becomes what the caller of credfs would have started.
    private static func leave(_ request: JobLauncherRequest) throws(Failure) {
        if !request.workingDirectory.isEmpty {
            // The directory by its name again: what was covered must not stay open below its cover.
            try Failure.attempt(.workingDirectory) { () throws(Errno) in try enterWorkingDirectory(request) }
        }
        try Failure.attempt(.restore) { () throws(Errno) in
            // With it a job of root could take away what covers the store.
            if request.plan.isolation == .user { try ProcessAttributes.neverAdministrate() }
            try ProcessHardening.restore(request.inherited, allowsCore: request.allowsCore)
            // From here on the job outlives credfs.
            try ProcessAttributes.setParentDeathSignal(0)
        }
        // Last: everything before takes rights that this user does not have.
        if let user = request.user {
            try Failure.attempt(.user) { () throws(Errno) in
                try ProcessAttributes.become(user: user.user, group: user.group, groups: user.groups)
            }
        }
    }
}

/// The working directory and those above it, known by what they are and not by their names.
private struct WorkingDirectory {
    private var above: [(device: UInt64, inode: UInt64)] = []

    init() throws(Errno) {
        var directory = try OwnedDescriptor.openPath(directory: ".")
        // A path is at most so deep.
        for _ in 0..<2048 {
            let status = try directory.status()
            if let last = above.last, last == (status.device, status.inode) { return }
            above.append((status.device, status.inode))
            // A directory that may not be searched is none of ours, and nothing above it matters.
            guard let parent = try? directory.openEntry("..") else { return }
            directory = parent
        }
    }

    func isBelow(_ status: FileStatus) -> Bool {
        above.contains { $0 == (status.device, status.inode) }
    }
}

extension MessageSocket {
    /// The bytes of the next message; a descriptor that came with it is closed.
    fileprivate func receiveBytes() throws(Never) -> [UInt8] {
        do throws(Errno) {
            let message = try receive()
            if message.descriptor >= 0 { _ = OwnedDescriptor(owning: message.descriptor) }
            return message.bytes
        } catch { return [] }
    }
}
