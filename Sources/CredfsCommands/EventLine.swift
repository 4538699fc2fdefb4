// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SecretStore
internal import SecureJSON
internal import SystemCalls

/// Shows the events of operations on standard error, for those who pass `--verbose`: in words on a terminal, else as JSON
/// lines.
final class EventLine: OperationRecorder {
    private unowned let context: CommandContext

    init(_ context: CommandContext) {
        self.context = context
    }

    /// RFC 3339 with milliseconds.
    static func timestamp() -> String {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        let milliseconds = String(1000 + time.tv_nsec / 1_000_000).dropFirst()
        return "\(Timestamp(seconds: Int64(time.tv_sec)).text.dropLast()).\(milliseconds)Z"
    }

    private static func words(_ event: OperationEvent) -> String {
        let subject = event.secret.map { " \($0.text)" } ?? ""
        return "recorded: \(event.operation.rawValue)\(subject): \(event.status.rawValue)"
            + (event.reason.map { ", \($0)" } ?? "")
    }

    func record(_ event: OperationEvent) {
        guard context.console.verbosity == .verbose else { return }
        guard isatty(Console.standardError) == 0 else { return context.console.detail(Self.words(event)) }
        let members: [String: JSONValue?] = [
            "timestamp": .string(Self.timestamp()),
            "operation": .string(event.operation.rawValue),
            "secret": (event.secret?.text).map(JSONValue.string),
            "service": event.service.map(JSONValue.string),
            "status": .string(event.status.rawValue),
            "reason": event.reason.map(JSONValue.string),
            "uid": .integer(context.user),
            "pid": .integer(ProcessAttributes.processID),
            "executable": ProcessAttributes.executable(of: ProcessAttributes.processID).map(JSONValue.string),
            "parent": ProcessAttributes.executable(of: ProcessAttributes.parentProcessID).map(JSONValue.string),
            "store": (event.store?.text).map(JSONValue.string),
        ]
        context.console.detail("event: \(JSONValue.object(members.compactMapValues { $0 }).text(.line))")
    }
}
