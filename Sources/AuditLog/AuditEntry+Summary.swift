// SPDX-License-Identifier: Apache-2.0

extension AuditEntry {
    /// One line for people, without the time.
    package var summary: String {
        var words = [status, operation]
        if !names.isEmpty { words.append(names.joined(separator: ",")) }
        words += slots.map { "slot=\($0)" }
        if let authMode { words.append("auth=\(authMode)") }
        if let authReason { words.append("because=\(authReason)") }
        if let exitStatus { words.append("exit=\(exitStatus)") }
        if let uid { words.append("uid=\(uid)") }
        if let pid { words.append("pid=\(pid)") }
        if let executable { words.append("by=\(executable)") }
        if let parent { words.append("parent=\(parent)") }
        if let unit { words.append("unit=\(unit)") }
        if let mount { words.append("mount=\(mount)") }
        if let repeated { words.append("times=\(repeated.count)") }
        words += labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        if let lost { words.append("lost=\(lost)") }
        return words.joined(separator: " ") + (reason.map { ": \($0)" } ?? "")
    }
}
