// SPDX-License-Identifier: Apache-2.0

internal import SystemCalls

/// Entry as a message that syslog(3) would send: priority, local time, tag, and the entry as JSON.
struct SyslogMessage {
    /// The facility of security messages that not everybody reads (LOG_AUTHPRIV).
    private static let facility = 10

    /// The datagram.
    let bytes: [UInt8]

    init(_ entry: AuditEntry, _ kind: ForwardedKind) {
        let head = "<\(Self.facility * 8 + kind.priority)>\(LocalTime.syslogText())"
        bytes = Array("\(head) \(AuditForwarder.tag)[\(ProcessAttributes.processID)]: \(entry.json)".utf8)
    }
}
