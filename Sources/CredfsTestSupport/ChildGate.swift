// SPDX-License-Identifier: Apache-2.0

internal import Foundation
internal import Glibc

/// Check at exit(3) that the test process has no child left.
///
/// A child that nobody waits for makes the exit-test monitor of Swift Testing (waitid(2) with P_ALL and WNOWAIT) spin for ever.
enum ChildGate {
    /// Registers the check once; the process then ends with status 1 where a child is left.
    static func register() { _ = isRegistered }

    private static let isRegistered: Bool = {
        atexit {
            var information = unsafe siginfo_t()
            // ECHILD is what it should say; zeros in the structure are a child that runs.
            guard unsafe waitid(P_ALL, 0, &information, WEXITED | WNOHANG | WNOWAIT) == 0 else { return }
            let text = "test: error: the test process leaves children behind: \(ChildGate.children())\n"
            FileHandle.standardError.write(Data(text.utf8))
            _exit(1)
        }
        return true
    }()

    /// Process ids, names and states, as proc(5) has them.
    private static func children() -> String {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        let found = processes.filter { Int32($0) != nil }.compactMap { process -> String? in
            guard let line = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
                let end = line.lastIndex(of: ")")
            else { return nil }
            let fields = line[end...].split(separator: " ")
            return fields.count > 2 && fields[2] == "\(getpid())" ? "\(line[...end]) \(fields[1])" : nil
        }
        return found.joined(separator: ", ")
    }
}
