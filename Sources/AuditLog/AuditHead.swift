// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Sealing

/// Head of a log: its last entry at some time; kept elsewhere, it shows a log that was put back as a whole.
package struct AuditHead: Sendable, Equatable {
    package let sequence: UInt64
    /// Code of the entry, which covers the code of the entry before it, and so all of them.
    package let code: [UInt8]

    /// `SEQUENCE:CODE`, the code as 64 hexadecimal digits.
    package var text: String { "\(sequence):\(Base16.text(code))" }

    package init(sequence: UInt64, code: [UInt8]) {
        self.sequence = sequence
        self.code = code
    }

    /// Reads the one form.
    ///
    /// - Returns: nil for any other.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let sequence = UInt64(parts[0]), sequence > 0, String(sequence) == parts[0],
            let code = Base16.bytes(String(parts[1])), code.count == AuditLine.codeByteCount
        else { return nil }
        self.init(sequence: sequence, code: code)
    }
}

extension AuditLog {
    /// The last entry.
    ///
    /// - Throws: `AuditError.noLog` if there is none yet.
    package func head() throws(AuditError) -> AuditHead {
        guard let keyFile = try directory.openKey(O_RDONLY) else { throw .noLog }
        return try directory.whileLocked(withinMilliseconds: Self.patienceMilliseconds, isReadOnly: true) {
            () throws(AuditError) in
            let state = try readState(keyFile)
            guard state.sequence > 1 else { throw .noLog }
            return AuditHead(sequence: state.sequence - 1, code: state.previous)
        }
    }

    /// Longest wait of commands about the log itself for its lock.
    static let patienceMilliseconds = 10_000
}
