// SPDX-License-Identifier: Apache-2.0

internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// Manifest that a mount follows (`--watch`): the file of the start, to be looked at before it is read.
package struct WatchedManifest: Sendable {
    /// The path, absolute.
    let path: String
    private(set) var stamp: FileStamp?

    /// Makes one for a file as it is now.
    package init(_ path: String) {
        self.path = path
        stamp = Self.stamp(of: path)
    }

    static func stamp(of path: String) -> FileStamp? { try? OwnedDescriptor.openPath(path).stamp() }
}

/// Watch of the directory of a manifest, which tells when the manifest is another one and nobody writes there any more.
final class ManifestWatch {
    /// Time without a change after which a manifest is read.
    private static let quietTime = Duration.milliseconds(100)
    /// The longest time for which changes put that off.
    private static let longestTime = Duration.seconds(1)
    /// Time after which a directory that vanished is looked for again.
    private static let retryTime = Duration.seconds(1)

    private let path: String
    private let directory: String
    private var watch: DirectoryWatch?
    private var timer: DeadlineTimer?
    private var firstChange: ContinuousClock.Instant?
    private var stamp: FileStamp?
    private var isSettled = true

    /// Watches; a manifest that is not that of the start any more is due at once.
    init(_ manifest: WatchedManifest) throws(Errno) {
        path = manifest.path
        stamp = manifest.stamp
        directory = PathParts.split(manifest.path).directory
        watch = try DirectoryWatch(of: directory)
        if WatchedManifest.stamp(of: path) != stamp { try postpone() }
    }

    /// Descriptors of which one can be read when `isDue` is to be asked.
    var numbers: [Int32] { [watch?.number ?? -1, timer?.number ?? -1] }

    /// Decides whether the manifest is to be read now.
    func isDue() throws(Errno) -> Bool {
        if let number = watch?.number, SignalQueue.isReadable(number) {
            if watch?.take() == false { watch = nil }
            try postpone()
        }
        guard let number = timer?.number, SignalQueue.isReadable(number) else { return false }
        timer = nil
        firstChange = nil
        if watch == nil {
            watch = try? DirectoryWatch(of: directory)
            if watch == nil { timer = try DeadlineTimer(after: Self.retryTime) }
        }
        guard let now = WatchedManifest.stamp(of: path) else { return false }
        return now != stamp || !isSettled
    }

    /// Notes that the manifest was read.
    ///
    /// - Parameter isAccepted: whether it is served; if not, the next change in its directory, of a key for example, lets it
    ///   be read again.
    /// - Returns: true for the first time that this manifest was not accepted.
    func note(isAccepted: Bool) -> Bool {
        let now = WatchedManifest.stamp(of: path)
        defer { (stamp, isSettled) = (now, isAccepted) }
        return !isAccepted && (now != stamp || isSettled)
    }

    private func postpone() throws(Errno) {
        let now = ContinuousClock.now
        let first = firstChange ?? now
        firstChange = first
        timer = try DeadlineTimer(after: max(.milliseconds(1), min(Self.quietTime, first + Self.longestTime - now)))
    }
}
