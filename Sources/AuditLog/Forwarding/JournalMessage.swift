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
        field("CREDFS_TIMESTAMP", entry.timestamp)
        field("CREDFS_OPERATION", entry.operation)
        field("CREDFS_STATUS", entry.status)
        field("CREDFS_REASON", entry.reason)
        fields("CREDFS_SECRET", entry.secrets.isEmpty ? [entry.secret].compactMap(\.self) : entry.secrets)
        field("CREDFS_SERVICE", entry.service)
        field("CREDFS_UID", entry.uid.map { "\($0)" })
        field("CREDFS_USER", entry.user)
        field("CREDFS_PID", entry.pid.map { "\($0)" })
        field("CREDFS_START_TIME", entry.startTime.map { "\($0)" })
        field("CREDFS_EXECUTABLE", entry.executable)
        // The journal keeps values of a field without their order, so the chain of ancestors is in the log alone.
        field("CREDFS_PARENT", entry.parent)
        field("CREDFS_UNIT", entry.unit)
        field("CREDFS_CLAIMED_ARGUMENT", entry.claimed?.argument)
        field("CREDFS_CLAIMED_NAME", entry.claimed?.name)
        field("CREDFS_MOUNT", entry.mount)
        field("CREDFS_STORE", entry.store)
        fields("CREDFS_SLOT", entry.slots)
        field("CREDFS_AUTH_MODE", entry.authMode)
        field("CREDFS_AUTH_REASON", entry.authReason)
        field("CREDFS_EXIT_STATUS", entry.exitStatus.map { "\($0)" })
        field("CREDFS_COUNT", entry.repeated.map { "\($0.count)" })
        field("CREDFS_FIRST_TIMESTAMP", entry.repeated?.first)
        fields("CREDFS_LABEL", entry.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })
    }

    /// Texts beyond what a list may take are left out, as in the log.
    private mutating func fields(_ name: String, _ values: [String]) {
        var room = AuditLine.maximumListByteCount
        for value in values {
            room -= value.utf8.count
            if room < 0 { break }
            field(name, value)
        }
    }

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
