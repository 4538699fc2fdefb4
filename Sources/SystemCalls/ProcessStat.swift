// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SystemPackage

/// Some fields of /proc/PID/stat (proc_pid_stat(5)), of a process or of a thread.
package struct ProcessStat: Sendable, Equatable {
    /// The name (comm): chosen by the process, U+FFFD where it is not UTF-8.
    package let name: String
    /// The parent; 0 where it is in another pid namespace or there is none.
    package let parent: Int32
    /// The start time in clock ticks since the system started: with the process id it names a process for ever.
    package let startTime: UInt64

    /// Reads what the kernel says now.
    ///
    /// - Returns: nil where the process is gone or may not be seen.
    package static func of(_ process: Int32) -> ProcessStat? {
        guard let text = try? OwnedDescriptor.open("/proc/\(process)/stat", O_RDONLY).readText(limit: 4096) else {
            return nil
        }
        return ProcessStat(text)
    }

    /// Reads a line; nil for any that the kernel does not write.
    package init?(_ text: String) {
        // The name can hold anything, parentheses and spaces too.
        let bytes = text.utf8
        guard let start = bytes.firstIndex(of: UInt8(ascii: "(")), let end = bytes.lastIndex(of: UInt8(ascii: ")")),
            start < end
        else { return nil }
        let fields = text[bytes.index(after: end)...].parts(at: " ", maxSplits: 20)
        // Fields 4 and 22, counted from 1; the first of these is the third.
        guard fields.count > 19, let parent = Int32(fields[1]), let startTime = UInt64(fields[19]) else { return nil }
        name = String(text[bytes.index(after: start)..<end])
        self.parent = parent
        self.startTime = startTime
    }
}
