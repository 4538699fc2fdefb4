// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// Manifest, or directory of a source, that a mount follows (`--watch`): as it is at the start, to be looked at before it is read.
package struct WatchedPlace: Sendable {
    /// The path, absolute.
    let path: String
    /// What is watched are the files in it.
    let isDirectory: Bool
    fileprivate let stamp: Stamp?

    /// Stamps of what is watched by their names; that of a file has none.
    fileprivate typealias Stamp = [String: FileStamp]

    /// Makes one for a file as it is now.
    package init(file path: String) {
        self.init(path, isDirectory: false)
    }

    /// Makes one for the files in a directory as they are now.
    package init(directory path: String) {
        self.init(path, isDirectory: true)
    }

    private init(_ path: String, isDirectory: Bool) {
        self.path = path
        self.isDirectory = isDirectory
        stamp = Self.stamp(of: path, isDirectory)
    }

    /// The stamp that the place has now; nil where it is not there.
    fileprivate var present: Stamp? { Self.stamp(of: path, isDirectory) }

    private static func stamp(of path: String, _ isDirectory: Bool) -> Stamp? {
        guard isDirectory else { return (try? OwnedDescriptor.openPath(path).stamp()).map { ["": $0] } }
        guard let names = try? OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY).entryNames() else { return nil }
        var stamp: Stamp = [:]
        for name in names { stamp[name] = try? OwnedDescriptor.openPath("\(path)/\(name)").stamp() }
        return stamp
    }
}

/// Watch of a place, which tells when it is another one and nobody writes there any more.
final class PlaceWatch {
    /// Time without a change after which a place is read.
    private static let quietTime = Duration.milliseconds(100)
    /// The longest time for which changes put that off.
    private static let longestTime = Duration.seconds(1)
    /// Time after which a directory that vanished is looked for again.
    private static let retryTime = Duration.seconds(1)

    private let place: WatchedPlace
    private let directory: String
    private var watch: DirectoryWatch?
    private var timer: DeadlineTimer?
    private var firstChange: ContinuousClock.Instant?
    private var stamp: WatchedPlace.Stamp?
    /// Stamp of the place that was found to be due, before it is read.
    private var dueStamp: WatchedPlace.Stamp?
    private var isSettled = true

    /// Watches; a place that is not as it was at the start any more is due at once.
    init(_ place: WatchedPlace) throws(Errno) {
        self.place = place
        stamp = place.stamp
        directory = place.isDirectory ? place.path : PathParts.split(place.path).directory
        watch = try DirectoryWatch(of: directory)
        if place.present != stamp { try postpone() }
    }

    /// Descriptors of which one can be read when `isDue` is to be asked.
    var numbers: [Int32] { [watch?.number ?? -1, timer?.number ?? -1] }

    /// Decides whether the place is to be read now.
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
        dueStamp = place.present
        guard let dueStamp else { return false }
        return dueStamp != stamp || !isSettled
    }

    /// Notes that the place was read, if it was due.
    ///
    /// - Parameter isAccepted: whether it is served; if not, the next change in its directory, of a key for example, lets it
    ///   be read again.
    /// - Returns: true for the first time that this state of it was not accepted.
    func note(isAccepted: Bool) -> Bool {
        guard let now = dueStamp else { return false }
        defer { (stamp, dueStamp, isSettled) = (now, nil, isAccepted) }
        return !isAccepted && (now != stamp || isSettled)
    }

    private func postpone() throws(Errno) {
        let now = ContinuousClock.now
        let first = firstChange ?? now
        firstChange = first
        timer = try DeadlineTimer(after: max(.milliseconds(1), min(Self.quietTime, first + Self.longestTime - now)))
    }
}
