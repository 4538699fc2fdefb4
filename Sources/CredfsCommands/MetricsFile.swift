// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import AuditLog
internal import SecretFileSystem
internal import SecretSources
internal import SecretStore
internal import SecureFiles
internal import Synchronization
internal import SystemCalls
internal import SystemPackage

/// File of metrics for the textfile collector of Prometheus (node_exporter).
///
/// A thread of its own replaces it as a whole. Everybody can read it (0644), since another user collects it. It holds no value,
/// and names only where they are asked for.
final class MetricsFile: Sendable {
    /// Facts of a mount that do not change while it serves.
    struct Facts: Sendable {
        let authMode: String
        /// Expiry of each secret that has one.
        let expiries: [(name: String, time: Timestamp)]
        let namesSecrets: Bool
        /// Forwards entries of the audit log; nil where nobody asked for that.
        let forwarder: AuditForwarder?
        /// Sources that are asked over time; nil where there are none.
        let sources: AskedSources?
    }

    /// Milliseconds between two writes: collectors ask every 15 seconds and more.
    private static let interval = 5000

    private let directory: StoreDirectory
    private let name: String
    private let counters: OpenMetrics
    private let facts: Facts
    private let bell: Doorbell
    private let isEnding = Atomic<Bool>(false)
    private let thread = Mutex<OwnThread?>(nil)

    /// Writes the file, and goes on writing it.
    ///
    /// - Throws: what is wrong with the place, before anything is served.
    init(_ path: String, _ counters: OpenMetrics, _ facts: Facts) throws {
        let parts = Store.split(path)
        guard !parts.name.isEmpty, let directory = try StoreDirectory.open(parts.directory, followingLink: true) else {
            throw StoreError.system("create", path, .noSuchFileOrDirectory)
        }
        try directory.refuseReplacing(parts.name, unlessItBeginsWith: "# HELP credfs_", as: "a file of metrics")
        self.directory = directory
        name = parts.name
        self.counters = counters
        self.facts = facts
        bell = try StoreError.wrapping("start", "the thread of metrics") { () throws(Errno) in try Doorbell.make() }
        try write()
        let thread = try StoreError.wrapping("start", "the thread of metrics") { () throws(Errno) in
            try OwnThread { self.work() }
        }
        self.thread.withLock { $0 = thread }
    }

    /// Writes the file once more and ends the thread; once.
    func end() {
        isEnding.store(true, ordering: .releasing)
        bell.ring()
        thread.withLock { $0.take() }?.join()
    }

    private func work() {
        while !isEnding.load(ordering: .acquiring) {
            bell.wait(milliseconds: Self.interval)
            // A full disk is over some time; the old file stays meanwhile.
            try? write()
        }
    }

    private func write() throws(StoreError) {
        let text = counters.text + factsText
        do { try directory.replace(name, with: text.utf8.span, mode: 0o644, isDurable: false) } catch {
            throw StoreError(error.code, "cannot write the metrics: \(error.message)", hint: error.hint)
        }
    }

    private var factsText: String {
        var text = OpenMetrics.head("credfs_auth_mode", "gauge", "1 for the acceptance of the store of the mount.")
        text += "credfs_auth_mode{mode=\"\(OpenMetrics.escape(facts.authMode))\"} 1\n"
        text += OpenMetrics.head("credfs_build_info", "gauge", "1 for the version that serves.")
        text += "credfs_build_info{version=\"\(OpenMetrics.escape(Credfs.configuration.version))\"} 1\n"
        if let forwarder = facts.forwarder {
            let lost = "credfs_audit_forward_lost_total"
            text += OpenMetrics.head(lost, "counter", "Entries that the receiver of audit.forward did not take.")
            text += "\(lost) \(forwarder.lostCount)\n"
        }
        if let sources = facts.sources { text += Self.text(of: sources) }
        guard !facts.expiries.isEmpty else { return text }
        let metric = "credfs_secret_expiry_timestamp_seconds"
        guard facts.namesSecrets else {
            text += OpenMetrics.head(metric, "gauge", "Time when the first secret expires.")
            return text + "\(metric) \(facts.expiries.map(\.time.seconds).min() ?? 0)\n"
        }
        text += OpenMetrics.head(metric, "gauge", "Time when a secret expires.")
        for (name, time) in facts.expiries.sorted(by: { $0.name < $1.name }) {
            text += "\(metric){secret=\"\(OpenMetrics.escape(name))\"} \(time.seconds)\n"
        }
        return text
    }

    /// Requests to sources and the times of their last answers; addresses without settings, since those may name secrets.
    private static func text(of sources: AskedSources) -> String {
        // Two with other settings are one here: a series is there once.
        var facts: [String: AskedSource.Facts] = [:]
        for source in sources.sources {
            let new = source.facts
            facts[OpenMetrics.escape(source.label), default: AskedSource.Facts()].add(new)
        }
        let requests = "credfs_source_requests_total"
        var text = OpenMetrics.head(requests, "counter", "Requests for a value to each source by result.")
        for (source, facts) in facts.sorted(by: { $0.key < $1.key }) {
            for (result, count) in facts.requests.sorted(by: { $0.key < $1.key }) {
                text += "\(requests){source=\"\(source)\",result=\"\(result)\"} \(count)\n"
            }
        }
        let time = "credfs_source_last_success_timestamp_seconds"
        text += OpenMetrics.head(time, "gauge", "Time of the last answer of each source.")
        for (source, facts) in facts.sorted(by: { $0.key < $1.key }) {
            guard let last = facts.lastSuccess else { continue }
            text += "\(time){source=\"\(source)\"} \(last.seconds)\n"
        }
        return text
    }
}
