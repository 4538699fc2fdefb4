// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SecureFiles
internal import SystemCalls

/// Reader of the lines of a file of a log, as far as it was written when it was opened or as it grows.
final class LogReader {
    private static let chunkByteCount = 1 << 16

    private let file: AuditFile
    /// Limit of reading.
    var end: Int
    /// The number of the line that `next` returned last, counted from 1.
    private(set) var lineNumber = 0
    private var offset = 0
    private var pending: [UInt8] = []
    private var position = 0
    /// Overlong line: its beginning was given up.
    private var isTooLong = false

    var name: String { file.name }

    init(_ file: AuditFile) {
        self.file = file
        end = file.size
    }

    /// The size that the file has now.
    func presentSize() throws(AuditError) -> Int { try file.presentStatus().size }

    /// The file, whatever its name is now.
    var identity: FileIdentity { file.status.identity }

    enum Item: Equatable {
        /// A line without its newline.
        case line([UInt8])
        /// A line that is too long to be one.
        case tooLong
        /// Something without a newline at the end.
        case torn
    }

    /// The next line.
    ///
    /// - Parameter isGrowing: whether a line without a newline may get one yet.
    /// - Returns: nil at the end.
    /// - Throws: `AuditError`.
    func next(isGrowing: Bool = false) throws(AuditError) -> Item? {
        while true {
            if let newline = pending[position...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = Array(pending[position..<newline])
                position = newline + 1
                lineNumber += 1
                defer { isTooLong = false }
                return isTooLong || line.count >= AuditLine.maximumByteCount ? .tooLong : .line(line)
            }
            pending.removeFirst(position)
            position = 0
            if pending.count >= AuditLine.maximumByteCount {
                pending = []
                isTooLong = true
            }
            let chunk = try file.read(from: offset, count: max(0, min(Self.chunkByteCount, end - offset)))
            if chunk.isEmpty {
                guard !isGrowing, !pending.isEmpty || isTooLong else { return nil }
                pending = []
                isTooLong = false
                lineNumber += 1
                return .torn
            }
            offset += chunk.count
            pending += chunk
        }
    }
}

extension AuditLog {
    /// The files of the log, the oldest first, as they are at one moment.
    func openLogs() throws(AuditError) -> [AuditFile] {
        var files: [AuditFile] = []
        for number in try directory.oldLogs() {
            if let file = try directory.open(AuditDirectory.oldLogName(number), O_RDONLY) { files.append(file) }
        }
        if let file = try directory.open(AuditDirectory.logName, O_RDONLY) { files.append(file) }
        return files
    }
}
