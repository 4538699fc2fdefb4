// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
internal import SecretFileSystem
internal import SecretStore
internal import SystemCalls
internal import SystemPackage

/// Plain files in memory: for hosts without FUSE, announced as the weaker way that it is.
final class PlainFiles: Exposure {
    let isolation: Isolation
    let backend: Backend
    let path: String
    private let id: String
    private let content: JobRun.Content
    private let ownership: Ownership
    private var files: SecretFiles?

    /// Makes an exposure: in a directory of its own for `shm`, else in one that the launcher of the job mounts at a path
    /// in its namespace and sends.
    init(
        _ content: JobRun.Content,
        _ backend: Backend,
        _ isolation: Isolation,
        id: String,
        path: String,
        ownership: Ownership
    ) {
        self.content = content
        self.backend = backend
        self.isolation = isolation
        self.id = id
        self.path = backend == .shm ? "\(Self.shared)/\(Self.sharedName(id))" : path
        self.ownership = ownership
    }

    /// Makes the directory that the system's memory gets, once the record tells of it: what a kill leaves is found.
    private func makeShared() throws(MountError) {
        do throws(Errno) {
            try OwnedDescriptor.open(Self.shared, O_RDONLY | O_DIRECTORY)
                .makeDirectory(Self.sharedName(id), mode: 0o700)
        } catch {
            throw MountError(.mount, "cannot make \(path): \(error.message)", hint: Self.remedy(for: error))
        }
    }

    func begin(for job: Job) throws {
        if backend == .shm { try makeShared() }
        try ServingFilter.install(for: job)
        let files = try SecretFiles(in: try backend == .shm ? openShared() : job.takeDevice())
        self.files = files
        if let secrets = content.secrets { try files.write(secrets, ownership) }
    }

    private func openShared() throws(MountError) -> OwnedDescriptor {
        try MountError.wrapping(.mount, "open \(path)") { () throws(Errno) in
            try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        }
    }

    func end() -> Bool {
        files?.remove()
        files = nil
        if backend == .shm, let parent = try? OwnedDescriptor.open(Self.shared, O_RDONLY | O_DIRECTORY) {
            try? parent.removeDirectory(Self.sharedName(id))
        }
        return true
    }

    /// The directory of a job in the memory of the system.
    private static func sharedName(_ id: String) -> String { "credfs-\(id)" }
    private static let shared = "/dev/shm"

    /// Hint for a directory that cannot be made in the memory of the system.
    private static func remedy(for errno: Errno) -> String {
        switch errno {
        case .noSuchFileOrDirectory, .notDirectory: "mount one: mount -t tmpfs -o mode=1777 tmpfs \(shared)"
        case .readOnlyFileSystem: "mount it writable (of a container: --tmpfs \(shared))"
        case .noSpace: "make room there: df -h \(shared); df -i \(shared)"
        default: "see who may write there: ls -ld \(shared)"
        }
    }

    /// Removes what a killed credfs left there.
    static func removeWhatIsLeft(of id: String) {
        guard !id.isEmpty, id.allSatisfy(\.isHexDigit),
            let parent = try? OwnedDescriptor.open(shared, O_RDONLY | O_DIRECTORY),
            let directory = try? parent.open(sharedName(id), O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
            let owner = try? directory.status().owner,
            // Root may have given it to somebody.
            owner == ProcessAttributes.effectiveUser || ProcessAttributes.effectiveUser == 0,
            let files = try? SecretFiles(in: directory)
        else { return }
        files.remove()
        try? parent.removeDirectory(sharedName(id))
    }
}
