// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SecureFiles
internal import SystemCalls

/// Entries of a log for people to read, authenticated by nobody.
package final class AuditTail {
    /// A line of the log.
    package enum Item: Sendable {
        case entry(AuditLine, text: String)
        /// Something that is no entry.
        case malformed(file: String, line: Int)
    }

    private let log: AuditLog
    private var readers: [LogReader]
    private var current: LogReader?
    private let isFollowing: Bool

    init(_ log: AuditLog, files: [AuditFile], isFollowing: Bool) {
        self.log = log
        self.isFollowing = isFollowing
        readers = files.map(LogReader.init)
        if !readers.isEmpty { current = readers.removeFirst() }
    }

    /// The next line.
    ///
    /// - Returns: nil where there is none yet; asking again later may give one if the tail is followed.
    /// - Throws: `AuditError`.
    package func next() throws(AuditError) -> Item? {
        while true {
            let isLast = readers.isEmpty
            if let current, let item = try current.next(isGrowing: isFollowing && isLast) {
                return Self.item(item, current)
            }
            if !isLast {
                current = readers.removeFirst()
                continue
            }
            guard isFollowing, try hasGrown() else { return nil }
        }
    }

    private static func item(_ item: LogReader.Item, _ reader: LogReader) -> Item {
        guard case .line(let bytes) = item, let line = AuditLine(bytes),
            let text = try? UTF8Span(validating: bytes.span)
        else { return .malformed(file: reader.name, line: reader.lineNumber) }
        return .entry(line, text: String(copying: text))
    }

    private func hasGrown() throws(AuditError) -> Bool {
        // What was written to a file before it was renamed comes first.
        if let current, try current.presentSize() > current.end {
            current.end = try current.presentSize()
            return true
        }
        let identity = current?.identity
        guard let file = try log.directory.open(AuditDirectory.logName, O_RDONLY), file.status.identity != identity
        else { return false }
        let files = try log.openLogs()
        var newer: [AuditFile] = []
        for file in files.reversed() {
            if file.status.identity == identity { break }
            newer.insert(file, at: 0)
        }
        readers = newer.map(LogReader.init)
        return !readers.isEmpty
    }
}

extension AuditLog {
    /// The entries from the oldest on.
    ///
    /// - Parameter isFollowing: whether entries that are written later are wanted, too.
    /// - Returns: the tail.
    /// - Throws: `AuditError.noLog` if there is no file.
    package func tail(isFollowing: Bool) throws(AuditError) -> AuditTail {
        let files = try directory.whileLocked(withinMilliseconds: Self.patienceMilliseconds, isReadOnly: true) {
            () throws(AuditError) in try openLogs()
        }
        guard !files.isEmpty else { throw .noLog }
        return AuditTail(self, files: files, isFollowing: isFollowing)
    }
}
