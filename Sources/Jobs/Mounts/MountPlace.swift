// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SystemCalls
internal import SystemPackage

/// Directories that something is to be mounted on.
enum MountPlace {
    /// Checks that a directory can be mounted over, after unmounting what a dead server of ours left there.
    ///
    /// - Returns: its absolute path without links.
    /// - Throws: class `place`.
    static func check(_ directory: String, user: UInt32, in runtime: RuntimeDirectory) throws(MountError) -> String {
        let path = try resolved(directory)
        if let entry = MountTable.entries().first(where: { $0.path == path }) {
            let isLive = FoundMount.all(in: runtime).contains { $0.isLive && $0.mount.path == path }
            // Asked only where no record says that it lives: a server that was stopped would let us wait.
            guard !isLive, entry.user == user, MountTable.isDead(path) else { throw isMounted(directory) }
            try Mounter.detach(path)
        }
        do throws(Errno) {
            let place = try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY)
            let status = try place.status()
            guard status.owner == user || user == 0 else { throw .notPermitted }
            guard try place.entryNames().isEmpty else { throw .directoryNotEmpty }
            return path
        } catch {
            switch error {
            case .notPermitted:
                throw MountError(.place, "\(directory) belongs to another user", hint: "use a directory of your own")
            case .directoryNotEmpty:
                throw MountError(.place, "\(directory) is not empty", hint: "use an empty directory")
            default: throw MountError.system(.place, "use \(directory)", error)
            }
        }
    }

    /// The path of a directory, absolute and without links, found without asking whoever serves it.
    static func resolved(_ directory: String) throws(MountError) -> String {
        do throws(Errno) {
            let place = try OwnedDescriptor.openPath(directory)
            guard let path = try place.resolvedPath() else { throw .illegalByteSequence }
            return path
        } catch {
            let hint = error == .noSuchFileOrDirectory ? "make it with: mkdir -p \(quoted(directory))" : nil
            throw MountError(.place, "cannot use \(directory): \(error.message)", hint: hint)
        }
    }

    private static func isMounted(_ directory: String) -> MountError {
        MountError(
            .place,
            "\(directory) is mounted already",
            hint: "unmount it with: credfs unmount \(quoted(directory))"
        )
    }
}
