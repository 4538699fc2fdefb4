// SPDX-License-Identifier: Apache-2.0

internal import Synchronization
internal import SystemCalls
internal import SystemPackage

/// Copies entries to where an operator collects them; from any thread, without ever waiting for the receiver.
///
/// What the receiver has no room for is lost, counted, said once, and told of before the next entry that it takes. The log
/// itself has it all the same.
package final class AuditForwarder: Sendable {
    /// Receiver of entries.
    package enum Destination: Sendable {
        /// The journal of systemd (systemd-journald.service(8)).
        case journal
        /// The system logger (syslog(3)).
        case syslog
        /// Standard error of this process.
        case standardError
    }

    /// Name under which entries are found.
    static let tag = "SECRET_OP"

    private enum Channel: ~Copyable {
        case socket(DatagramSender)
        case output(OutputWithoutWaiting)
        case none
    }

    private struct State: ~Copyable {
        var channel: Channel
        /// End of a line that standard error had no room for.
        var rest: [UInt8] = []
        /// Number of entries lost since the last one that was taken.
        var lost: UInt64 = 0
        var hasReported = false
    }

    private let destination: Destination
    private let state: Mutex<State>
    private let total = Atomic<UInt64>(0)
    private let report: @Sendable (String) -> Void

    /// Connects; a process that serves may not do that any more.
    ///
    /// - Parameters:
    ///   - destination: the receiver.
    ///   - report: told once why entries are lost, on any thread; must not wait.
    package init(to destination: Destination, report: @escaping @Sendable (String) -> Void) {
        self.destination = destination
        self.report = report
        var failure: Errno?
        var channel = Channel.none
        do throws(Errno) {
            switch destination {
            case .journal: channel = .socket(try DatagramSender(to: "/run/systemd/journal/socket"))
            case .syslog: channel = .socket(try DatagramSender(to: "/dev/log"))
            case .standardError: channel = .output(OutputWithoutWaiting(2))
            }
        } catch { failure = error }
        state = Mutex(State(channel: channel, hasReported: failure != nil))
        if let failure { report("no entries are forwarded: cannot reach \(name): \(failure.message)") }
    }

    /// Forwards nothing more to standard error, which a process in the background leaves to whoever started it.
    ///
    /// - Returns: whether that is where entries went.
    package func leaveStandardError() -> Bool {
        guard destination == .standardError else { return false }
        state.withLock { state in
            state.channel = .none
            state.hasReported = true
        }
        return true
    }

    /// Number of entries that were not forwarded.
    package var lostCount: UInt64 { total.load(ordering: .relaxed) }

    /// Sends a copy of an entry, or counts it as lost.
    package func forward(_ entry: AuditEntry) {
        let failure: Errno? = state.withLock { state in
            do throws(Errno) {
                if state.lost > 0 { try send(.forwardingLoss(of: state.lost, at: entry.timestamp), &state) }
                state.lost = 0
                try send(entry, &state)
                return nil
            } catch {
                state.lost += 1
                total.add(1, ordering: .relaxed)
                defer { state.hasReported = true }
                return state.hasReported ? nil : error
            }
        }
        if let failure { report("entries are not forwarded as they are not taken by \(name): \(failure.message)") }
    }

    private func send(_ entry: AuditEntry, _ state: inout State) throws(Errno) {
        let kind = ForwardedKind(entry)
        switch state.channel {
        case .none: throw .socketNotConnected
        case .socket(let socket):
            let isJournal = destination == .journal
            try socket.send(isJournal ? JournalMessage(entry, kind).bytes : SyslogMessage(entry, kind).bytes)
        case .output(let output):
            if !state.rest.isEmpty { state.rest.removeFirst(try output.write(state.rest)) }
            guard state.rest.isEmpty else { throw .resourceTemporarilyUnavailable }
            let line = Array("\(Self.tag): \(entry.json)\n".utf8)
            let count = try output.write(line)
            state.rest = Array(line.dropFirst(count))
        }
    }

    private var name: String {
        switch destination {
        case .journal: "the journal"
        case .syslog: "the system logger"
        case .standardError: "standard error"
        }
    }
}

extension AuditEntry {
    /// The operation of an entry that says what was not forwarded; it is in no log.
    static let forwarding = "audit-forward"

    fileprivate static func forwardingLoss(of count: UInt64, at time: String) -> AuditEntry {
        var entry = AuditEntry(timestamp: time, operation: forwarding, status: "failed")
        entry.reason = count == 1 ? "1 entry was not forwarded" : "\(count) entries were not forwarded"
        return entry
    }
}
