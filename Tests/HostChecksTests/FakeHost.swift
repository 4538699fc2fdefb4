// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import HostChecks
import ProcessControl
import SecretStore
import SystemCalls
import SystemPackage
import Testing

/// Any machine: its files are those of a directory, its calls answer what a test says.
final class FakeHost {
    private let directory: TemporaryDirectory
    var host: HostView
    /// What paths are taken to be, whatever lies there.
    private let entries = Box<[String: HostView.Entry]>([:])

    final class Box<Value> {
        var value: Value
        init(_ value: Value) { self.value = value }
    }

    /// A machine on which everything works.
    init(user: UInt32 = 1000) throws {
        directory = try TemporaryDirectory()
        let (root, entries) = (directory.path, entries)
        host = HostView(
            root: root,
            environment: { _ in nil },
            user: user,
            now: Timestamp(seconds: 1_800_000_000),
            calls: HostView.Calls(
                openDevice: { nil },
                secretMemory: { nil },
                namespaces: { _ in nil },
                mountState: { _ in .live },
                detach: { _ in nil },
                git: { _, _ in nil },
                realPath: { $0 },
                isSet: { _ in false },
                canWrite: { _ in nil },
                entry: { path, _ in entries.value[String(path.dropFirst(root.utf8.count))] }
            )
        )
        put("/dev/fuse", .characterDevice, 0o666)
        put("/proc/self/ns", .directory, 0o511)
        put("/proc/self/ns/user", .symbolicLink, 0o777)
        put("/usr/bin/fusermount3", .regular, 0o4755)
        put("/tmp", .directory, 0o1777)
        put("/run", .directory, 0o755)
        try write("\tfuse\nnodev\tfuse\n", to: "/proc/filesystems")
        try status(capabilities: user == 0 ? 0x1ff_ffff_ffff : 0)
        try limits(locked: "8388608")
    }

    /// Says what a path is; nothing if no kind is given.
    func put(_ path: String, _ kind: FileStatus.Kind?, _ permissions: UInt16 = 0o644, owner: UInt32 = 0) {
        entries.value[path] = kind.map { HostView.Entry(kind: $0, permissions: permissions, owner: owner) }
    }

    /// Writes a file of the machine.
    func write(_ text: String, to path: String) throws {
        let place = directory.path(String(path.dropFirst()))
        let parent = URL(filePath: place).deletingLastPathComponent()
        try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(filePath: place))
    }

    func status(capabilities: UInt64, bounding: UInt64 = 0x1ff_ffff_ffff, noNewPrivileges: Bool = false) throws {
        let text = """
            Name:	credfs
            NoNewPrivs:	\(noNewPrivileges ? 1 : 0)
            CapEff:	\(String(capabilities, radix: 16))
            CapBnd:	\(String(bounding, radix: 16))
            """
        try write(text, to: "/proc/self/status")
    }

    func limits(locked: String, hard: String? = nil, core: String = "unlimited") throws {
        let text = """
            Limit                     Soft Limit           Hard Limit           Units
            Max core file size        0                    \(core)            bytes
            Max locked memory         \(locked)              \(hard ?? locked)              bytes
            """
        try write(text, to: "/proc/self/limits")
    }

    /// Sets variables.
    func set(_ variables: [String: String]) {
        host.environment = { variables[$0] }
    }

    /// Makes namespaces fail.
    func refuseNamespaces(_ step: NamespaceTrial.Step = .namespace, _ errno: Errno = .notPermitted) {
        host.calls.namespaces = { _ in NamespaceTrial.Failure(step, errno) }
    }

    var facts: MountFacts { MountFacts(host) }
    var mounting: [Finding] { MountChecks.run(host, facts) }

    func finding(_ check: Finding.Check) throws -> Finding {
        let findings = mounting + MemoryChecks.run(host) + PlaceChecks.run(host)
        return try #require(findings.first { $0.check == check })
    }
}

/// Expects a status, and words in the message and the fix.
func expect(
    _ finding: Finding,
    _ status: Finding.Status,
    _ message: String = "",
    fix: String? = nil,
    at location: SourceLocation = #_sourceLocation
) {
    #expect(finding.status == status, "\(finding)", sourceLocation: location)
    #expect(message.isEmpty || finding.message.contains(message), "\(finding)", sourceLocation: location)
    if let fix { #expect(finding.fix?.contains(fix) == true, "\(finding)", sourceLocation: location) }
    #expect(finding.message.last != ".", "\(finding)", sourceLocation: location)
    #expect(finding.status == .ok || finding.fix != nil, "\(finding)", sourceLocation: location)
}
