// SPDX-License-Identifier: Apache-2.0

package import ProcessControl
package import SystemCalls
package import SystemPackage

/// The process that tries what could change or stop the one that asks: namespaces, and mounts that may not answer.
///
/// It is started without environment, key or store, answers with one line, and ends.
package enum HostProbe {
    /// The first argument that makes credfs this process.
    package static let mode = "probe-host"

    private static let success = "ok"
    private static let namespaceTask = "namespaces"
    private static let mountTask = "mount"
    private static let withUser = "user"

    /// Does what the arguments say; the whole life of the process.
    ///
    /// - Returns: the exit status: 0 if an answer was written.
    package static func main(_ arguments: [String]) -> Int32 {
        guard arguments.count == 4 else { return 1 }
        let answer: String
        switch arguments[2] {
        case namespaceTask:
            // A process that may not be looked into may not write its own id map either; this one holds no secret.
            try? ProcessAttributes.setDumpable(true)
            answer = trial(withUser: arguments[3] == withUser)
        case mountTask:
            answer = look(arguments[3])
        default:
            return 1
        }
        let output = OwnedDescriptor(owning: 1)
        return (try? output.writeAll(answer)) == nil ? 1 : 0
    }

    private static func trial(withUser: Bool) -> String {
        do throws(NamespaceTrial.Failure) {
            try NamespaceTrial.run(withUser: withUser)
            return success
        } catch { return error.words }
    }

    private static func look(_ path: String) -> String {
        do throws(Errno) {
            try FuseMount.ask(path)
            return success
        } catch { return "statfs \(error.rawValue)" }
    }

    /// Tries to mount in namespaces of a process; the step that failed.
    static func namespaces(withUser: Bool) -> NamespaceTrial.Failure? {
        answer(to: [namespaceTask, withUser ? Self.withUser : "none"]).failure
    }

    /// Asks a mounted file system for an answer.
    static func state(ofMount path: String) -> VisibleMounts.State {
        answer(to: [mountTask, path]).state
    }

    private static func answer(to question: [String]) -> Answer {
        do throws(Errno) {
            let output = try ProgramOutput.of(
                OwnProgram.path,
                arguments: OwnProgram.arguments(mode, question),
                environment: [],
                seconds: 1
            )
            return Answer(output)
        } catch { return Answer(unasked: error) }
    }

    /// The line that the process wrote.
    package struct Answer: Equatable {
        private let words: [Substring]
        private let hasEnded: Bool
        /// Error of starting the process.
        private let reason: Errno?

        package init(unasked reason: Errno) {
            (words, hasEnded, self.reason) = ([], true, reason)
        }

        package init(_ output: ProgramOutput?) {
            hasEnded = output != nil
            reason = nil
            words = String(decoding: output?.bytes ?? [], as: UTF8.self).split(separator: " ")
        }

        private var errno: Errno {
            if let reason { return reason }
            return words.count == 2 ? Errno(rawValue: Int32(words[1]) ?? Errno.ioError.rawValue) : .ioError
        }

        package var failure: NamespaceTrial.Failure? {
            if words.first == "ok" { return nil }
            let step = words.first.flatMap { NamespaceTrial.Step(rawValue: String($0)) }
            return NamespaceTrial.Failure(step ?? .start, errno)
        }

        package var state: VisibleMounts.State {
            if words.first == "ok" { return .live }
            // No answer in time: a stopped process serves it.
            if !hasEnded { return .silent }
            return errno == .socketNotConnected ? .stale : .unknown
        }
    }
}
