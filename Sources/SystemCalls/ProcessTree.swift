// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SystemPackage

/// Tree of processes (proc(5)).
package enum ProcessTree {
    /// The parent of a process or thread; nil where it is gone or may not be seen.
    package static func parent(of process: Int32) -> Int32? {
        guard let text = try? OwnedDescriptor.open("/proc/\(process)/stat", O_RDONLY).readText(limit: 4096) else {
            return nil
        }
        return parent(inStat: text)
    }

    /// The process (thread group id) that a thread belongs to; nil where it is gone or may not be seen.
    package static func leader(of thread: Int32) -> Int32? {
        guard let text = try? OwnedDescriptor.open("/proc/\(thread)/status", O_RDONLY).readText(limit: 4096),
            let line = text.parts(at: "\n").first(where: { $0.hasPrefix("Tgid:\t") })
        else { return nil }
        return Int32(line.dropFirst(6))
    }

    /// Detects that this process has no thread but the one that asks; false where /proc does not say.
    package static var hasOneThread: Bool {
        // A directory for each thread: a link of each, its own and that of its parent.
        (try? FileStatus.ofPath("/proc/self/task", followingLink: false).linkCount) == 3
    }

    /// Detects a process that has not ended.
    package static func isRunning(_ process: Int32) -> Bool {
        guard let state = state(process) else { return false }
        return state != "Z" && state != "X"
    }

    /// Detects a process that a signal has stopped.
    package static func isStopped(_ process: Int32) -> Bool { state(process) == "T" }

    private static func state(_ process: Int32) -> Substring? {
        guard let text = try? OwnedDescriptor.open("/proc/\(process)/stat", O_RDONLY).readText(limit: 4096),
            let end = text.utf8.lastIndex(of: UInt8(ascii: ")"))
        else { return nil }
        return text[text.utf8.index(after: end)...].parts(at: " ", maxSplits: 1).first
    }

    /// The fourth field; the second one, the name, can hold anything, parentheses and spaces too.
    package static func parent(inStat text: String) -> Int32? {
        guard let end = text.utf8.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = text[text.utf8.index(after: end)...].parts(at: " ", maxSplits: 2)
        return fields.count > 1 ? Int32(fields[1]) : nil
    }
}
