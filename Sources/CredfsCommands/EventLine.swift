// SPDX-License-Identifier: Apache-2.0

internal import FoundationEssentials
internal import Glibc
internal import SecretStore
internal import SystemCalls

/// Shows the events of operations on standard error, for those who pass `--verbose`: in words on a terminal, else as JSON
/// lines.
final class EventLine: OperationRecorder {
    private struct Entry: Encodable {
        let timestamp: String
        let operation: String
        let secret: String?
        let service: String?
        let status: String
        let reason: String?
        let uid: UInt32
        let pid: Int32
        let executable: String?
        let parent: String?
        let store: String?
    }

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
        let entry = Entry(
            timestamp: Self.timestamp(),
            operation: event.operation.rawValue,
            secret: event.secret?.text,
            service: event.service,
            status: event.status.rawValue,
            reason: event.reason,
            uid: context.user,
            pid: ProcessAttributes.processID,
            executable: ProcessAttributes.executable(of: ProcessAttributes.processID),
            parent: ProcessAttributes.executable(of: ProcessAttributes.parentProcessID),
            store: event.store?.text
        )
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let line = try? encoder.encode(entry), let text = String(bytes: line, encoding: .utf8) else { return }
        context.console.detail("event: \(text)")
    }
}
