// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Synchronization
import Testing

let credfs = PackageDirectory.program("credfs")
let isRoot = geteuid() == 0
/// Somebody who owns nothing.
let stranger = "65534"

/// A directory of its own for one test, with a home and a place for a store, and credfs as a real process in it.
final class Sandbox: Sendable {
    let directory: TemporaryDirectory
    let environment: [String: String]

    /// Makes a sandbox without a store.
    init() throws {
        directory = try TemporaryDirectory()
        environment = [
            "HOME": directory.path("home"), "CREDFS_STORE": directory.path("store"), "TMPDIR": directory.path("home"),
        ]
        try FileManager.default.createDirectory(atPath: directory.path("home"), withIntermediateDirectories: false)
    }

    /// Makes a sandbox with a store that holds these secrets.
    convenience init(_ secrets: [String: String]) async throws {
        try self.init()
        if let made = PreparedStores.shared.find(secrets) {
            try made.write(to: store)
            return
        }
        try await succeed("init", "--empty")
        for (name, value) in secrets.sorted(by: { $0.key < $1.key }) {
            try await succeed("set", name, input: Array(value.utf8))
        }
        PreparedStores.shared.keep(try Snapshot(store), secrets)
    }

    /// Makes a store of the secrets a, A and OTHER with the values 1, 2 and 3, as only earlier versions did.
    static func withClashingNames() async throws -> Sandbox {
        let sandbox = try await Sandbox([:])
        for name in ["secrets.yaml", "secrets.key"] {
            let golden = PackageDirectory.root + "Tests/Vectors/v1/clash/\(name)"
            try sandbox.directory.write(try Files.read(golden), to: "store/\(name)")
        }
        return sandbox
    }

    var store: String { directory.path("store") }

    /// The path of a name in the store.
    func path(_ name: String) -> String { "\(store)/\(name)" }

    /// Runs credfs.
    func run(
        _ arguments: String...,
        input: [UInt8] = [],
        adding variables: [String: String] = [:]
    ) async throws -> ChildProcess.Outcome {
        try await run(arguments, input: input, adding: variables)
    }

    /// Runs credfs.
    func run(
        _ arguments: [String],
        input: [UInt8] = [],
        adding variables: [String: String] = [:]
    ) async throws -> ChildProcess.Outcome {
        try await ChildProcess.run(
            credfs,
            arguments,
            environment: environment.merging(variables) { $1 },
            standardInput: input
        )
    }

    /// Runs credfs, which must succeed.
    @discardableResult
    func succeed(
        _ arguments: String...,
        input: [UInt8] = [],
        adding variables: [String: String] = [:],
        at location: SourceLocation = #_sourceLocation
    ) async throws -> ChildProcess.Outcome {
        try await succeed(arguments, input: input, adding: variables, at: location)
    }

    /// Runs credfs, which must succeed.
    @discardableResult
    func succeed(
        _ arguments: [String],
        input: [UInt8] = [],
        adding variables: [String: String] = [:],
        at location: SourceLocation = #_sourceLocation
    ) async throws -> ChildProcess.Outcome {
        let outcome = try await run(arguments, input: input, adding: variables)
        try #require(outcome.status == .exited(0), "\(arguments): \(outcome.errorText)", sourceLocation: location)
        return outcome
    }

    /// Runs credfs under a shell, which can do to it what a caller can: `"$@"` is credfs with its arguments.
    func shell(
        _ script: String,
        _ arguments: [String],
        input: [UInt8] = [],
        adding variables: [String: String] = [:]
    ) async throws -> ChildProcess.Outcome {
        try await ChildProcess.run(
            "/bin/sh",
            ["-c", script, "sh", credfs] + arguments,
            environment: environment.merging(variables) { $1 },
            standardInput: input
        )
    }

    /// The bytes of a secret.
    func value(_ name: String, at location: SourceLocation = #_sourceLocation) async throws -> [UInt8] {
        let outcome = try await run("show", name)
        #expect(outcome.status == .exited(0), "\(outcome.errorText)", sourceLocation: location)
        return outcome.standardOutput
    }

    /// Makes a secret whose time is over, which `set` refuses to do.
    func makeExpired(_ name: String, _ value: String, at time: String, required: Bool = false) async throws {
        let entry = "    value: \(value)\n    required: \(required)\n    expires: \(time)\n"
        let template = try directory.write(Array("secrets:\n  \(name):\n\(entry)".utf8), to: "expired.yaml")
        try await succeed("encrypt", template)
    }

    /// The text of the manifest.
    func manifest() throws -> String {
        String(decoding: try directory.read("store/secrets.yaml"), as: UTF8.self)
    }

    /// Writes a file below the sandbox.
    func replaceManifest(_ bytes: some Sequence<UInt8>) throws {
        try directory.write(bytes, to: "store/secrets.yaml")
    }

    /// The generation that the manifest says it is.
    func generation() throws -> Int {
        let line = try manifest().split(separator: "\n").first { $0.hasPrefix("generation: ") }
        return try #require(line.flatMap { Int($0.dropFirst("generation: ".count)) })
    }

    /// The key slots in the last entry of an operation in the audit log.
    func slotsOfLastEntry(_ operation: String) throws -> [String] {
        let log = String(decoding: try directory.read("store/state/audit.log"), as: UTF8.self)
        let line = try #require(log.split(separator: "\n").last { $0.contains("\"operation\":\"\(operation)\"") })
        let entry = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        return entry["slots"] as? [String] ?? []
    }

    /// What lies below the sandbox.
    func snapshot() throws -> Snapshot { try Snapshot(directory.path) }
}

/// Stores that were made before, to be copied: most tests begin with the same few.
private final class PreparedStores: Sendable {
    static let shared = PreparedStores()
    private let stores = Mutex<[[String: String]: Snapshot]>([:])

    func find(_ secrets: [String: String]) -> Snapshot? { stores.withLock { $0[secrets] } }
    func keep(_ store: Snapshot, _ secrets: [String: String]) { stores.withLock { $0[secrets] = store } }
}

/// Every file below a directory: kind, mode, link target and bytes.
struct Snapshot: Equatable, Sendable {
    struct Entry: Equatable, Sendable {
        let kind: String
        let mode: Int
        let bytes: [UInt8]
    }

    let entries: [String: Entry]

    init(_ path: String) throws {
        var entries: [String: Entry] = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: path) {
            let attributes = try FileManager.default.attributesOfItem(atPath: "\(path)/\(name)")
            let type = attributes[.type] as? FileAttributeType
            var bytes: [UInt8] = []
            if type == .typeRegular {
                // A sparse file is known by its size.
                let size = attributes[.size] as? Int ?? 0
                bytes = size > 8 << 20 ? Array("\(size)".utf8) : try Files.read("\(path)/\(name)")
            } else if type == .typeSymbolicLink {
                bytes = Array(try FileManager.default.destinationOfSymbolicLink(atPath: "\(path)/\(name)").utf8)
            }
            entries[name] = Entry(
                kind: type?.rawValue ?? "unknown",
                mode: attributes[.posixPermissions] as? Int ?? -1,
                bytes: bytes
            )
        }
        self.entries = entries
    }

    /// Makes a directory of the same regular files and directories.
    func write(to path: String) throws {
        let mode = FileAttributeKey.posixPermissions
        let manager = FileManager.default
        try manager.createDirectory(atPath: path, withIntermediateDirectories: false, attributes: [mode: 0o700])
        for (name, entry) in entries.sorted(by: { $0.key < $1.key }) {
            if entry.kind == FileAttributeType.typeDirectory.rawValue {
                try manager.createDirectory(
                    atPath: "\(path)/\(name)",
                    withIntermediateDirectories: false,
                    attributes: [mode: entry.mode]
                )
            } else {
                let isMade = manager.createFile(
                    atPath: "\(path)/\(name)",
                    contents: Data(entry.bytes),
                    attributes: [mode: entry.mode]
                )
                try #require(isMade)
            }
        }
    }

    /// Whether both are the same but for the audit log, to which commands that fail add an entry, too.
    static func == (left: Snapshot, right: Snapshot) -> Bool {
        left.entriesBesideTheLog == right.entriesBesideTheLog
    }

    private var entriesBesideTheLog: [String: Entry] {
        entries.filter { !(($0.key as NSString).lastPathComponent.hasPrefix("audit.")) }
    }

    /// Names that writing commands use on their way.
    var leftovers: [String] { entries.keys.filter { $0.contains(".credfs-") }.sorted() }
}

/// What tests do to files.
enum Files {
    static func read(_ path: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(filePath: path, directoryHint: .notDirectory)))
    }

    static func mode(_ path: String) throws -> Int {
        try #require(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
    }

    static func setMode(_ mode: Int, _ path: String) throws {
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
}

extension ChildProcess.Outcome {
    /// The lines of standard error that begin with a word.
    func lines(_ kind: String) -> [String] {
        errorText.split(separator: "\n").filter { $0.hasPrefix("credfs: \(kind): ") }
            .map { String($0.dropFirst("credfs: \(kind): ".count)) }
    }

    /// Expects a refusal in our style: status, error and hint.
    func expectRefusal(
        _ status: Int32,
        _ text: String = "",
        hint: String? = nil,
        at location: SourceLocation = #_sourceLocation
    ) {
        #expect(self.status == .exited(status), "\(outputText)\(errorText)", sourceLocation: location)
        let errors = lines("error")
        #expect(errors.count == 1, "\(errorText)", sourceLocation: location)
        let error = errors.first ?? ""
        #expect(text.isEmpty || error.contains(text), sourceLocation: location)
        for line in errors + lines("hint") {
            // A variable is named as it is written.
            let word = line.prefix { $0.isLetter || $0 == "_" }
            #expect(word.first?.isUppercase != true || word == word.uppercased(), "\(line)", sourceLocation: location)
            #expect(!line.hasSuffix("."), "\(line)", sourceLocation: location)
        }
        if let hint {
            #expect(lines("hint").first?.contains(hint) == true, "\(errorText)", sourceLocation: location)
        }
    }
}
