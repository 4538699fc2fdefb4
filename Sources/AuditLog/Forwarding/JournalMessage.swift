// SPDX-License-Identifier: Apache-2.0

/// Entry as a message of the journal's native protocol (systemd.io, "Native Journal Protocol").
struct JournalMessage {
    /// The datagram.
    private(set) var bytes: [UInt8] = []

    init(_ entry: AuditEntry, _ kind: ForwardedKind) {
        field("MESSAGE", entry.summary)
        field("PRIORITY", "\(kind.priority)")
        field("SYSLOG_IDENTIFIER", AuditForwarder.tag)
        field("MESSAGE_ID", kind.messageID)
        member("TIMESTAMP", entry.timestamp)
        member("OPERATION", entry.operation)
        member("STATUS", entry.status)
        member("REASON", entry.reason)
        members("SECRET", entry.names)
        member("SERVICE", entry.service)
        member("UID", entry.uid.map { "\($0)" })
        member("USER", entry.user)
        member("PID", entry.pid.map { "\($0)" })
        member("START_TIME", entry.startTime.map { "\($0)" })
        member("EXECUTABLE", entry.executable)
        // The journal keeps values of a field without their order, so the chain of ancestors is in the log alone.
        member("PARENT", entry.parent)
        member("UNIT", entry.unit)
        member("CLAIMED_ARGUMENT", entry.claimed?.argument)
        member("CLAIMED_NAME", entry.claimed?.name)
        member("MOUNT", entry.mount)
        member("STORE", entry.store)
        members("SLOT", entry.slots)
        member("AUTH_MODE", entry.authMode)
        member("AUTH_REASON", entry.authReason)
        member("EXIT_STATUS", entry.exitStatus.map { "\($0)" })
        member("COUNT", entry.repeated.map { "\($0.count)" })
        member("FIRST_TIMESTAMP", entry.repeated?.first)
        members("LABEL", entry.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })
    }

    /// Texts beyond what a list may take are left out, as in the log.
    private mutating func members(_ name: String, _ values: [String]) {
        var room = AuditLine.maximumListByteCount
        for value in values {
            room -= value.utf8.count
            if room < 0 { break }
            member(name, value)
        }
    }

    private mutating func member(_ name: String, _ value: String?) { field("CREDFS_" + name, value) }

    /// A text with a line feed has its length before it.
    private mutating func field(_ name: String, _ value: String?) {
        guard let value else { return }
        let text = Array(value.utf8.prefix(AuditLine.maximumTextByteCount))
        bytes += name.utf8
        if text.contains(UInt8(ascii: "\n")) {
            bytes.append(UInt8(ascii: "\n"))
            var count = UInt64(text.count)
            for _ in 0..<8 {
                bytes.append(UInt8(truncatingIfNeeded: count))
                count >>= 8
            }
        } else {
            bytes.append(UInt8(ascii: "="))
        }
        bytes += text
        bytes.append(UInt8(ascii: "\n"))
    }
}
