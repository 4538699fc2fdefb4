// SPDX-License-Identifier: Apache-2.0

import Credentials
import Glibc
import Synchronization
import SystemCalls
import SystemPackage
import Testing

/// A directory that ends with its owner.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/credentials-tests.XXXXXX".utf8CString)
        try call {
            unsafe template.withUnsafeMutableBufferPointer { buffer in
                guard let start = buffer.baseAddress else { return -1 }
                return unsafe mkdtemp(start) == nil ? -1 : 0
            }
        }
        let text = template.dropLast().map { UInt8(bitPattern: $0) }
        path = try #require(String(validating: text, as: UTF8.self))
    }

    deinit {
        Self.remove(path)
    }

    private static func remove(_ path: String) {
        if unsafe unlink(path) == 0 { return }
        if let names = try? OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY).entryNames() {
            for name in names { remove("\(path)/\(name)") }
        }
        unsafe rmdir(path)
    }

    /// The path of a name below.
    func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

    /// Writes a file with a mode, whatever the umask; in place where it exists.
    @discardableResult
    func write(_ name: String, _ content: String, mode: UInt16 = 0o600) throws -> String {
        try write(name, Array(content.utf8), mode: mode)
    }

    @discardableResult
    func write(_ name: String, _ content: [UInt8], mode: UInt16 = 0o600) throws -> String {
        let file = try OwnedDescriptor.open(self(name), O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        try file.writeAll(content.span)
        try file.setPermissions(mode)
        return self(name)
    }

    func makeDirectory(_ name: String) throws {
        try call { unsafe mkdir(self(name), 0o755) }
    }

    func link(_ name: String, to target: String) throws {
        try call { unsafe symlink(target, self(name)) }
    }

    /// Replaces a link atomically, as a Kubernetes node does.
    func relink(_ name: String, to target: String) throws {
        let temporary = self(name) + "_tmp"
        try call { unsafe symlink(target, temporary) }
        try call { unsafe rename(temporary, self(name)) }
    }
}

/// Makes a C call that must succeed for the test to make sense.
func call(_ body: () -> Int32) throws {
    let result = body()
    try #require(result == 0, "\(Errno(rawValue: errno))")
}

/// Repeats something in a thread of its own (the tests' own threads are few) while something else goes on.
func whileRepeating(_ body: @escaping @Sendable () throws -> Void, _ foreground: () throws -> Void) throws {
    let loop = BackgroundLoop(body)
    var thread = pthread_t()
    let start: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
        guard let argument = unsafe argument else { return nil }
        unsafe Unmanaged<BackgroundLoop>.fromOpaque(argument).takeRetainedValue().run()
        return nil
    }
    try call { unsafe pthread_create(&thread, nil, start, Unmanaged.passRetained(loop).toOpaque()) }
    defer {
        loop.isStopped.store(true, ordering: .relaxed)
        pthread_join(thread, nil)
    }
    try foreground()
}

private final class BackgroundLoop: Sendable {
    let isStopped = Atomic(false)
    private let body: @Sendable () throws -> Void

    init(_ body: @escaping @Sendable () throws -> Void) {
        self.body = body
    }

    func run() {
        while !isStopped.load(ordering: .relaxed) { try? body() }
    }
}

/// A process environment of one's own.
func environment(_ variables: [String: String]) -> @Sendable (String) -> EnvironmentVariables.Value {
    { name in variables[name].map { .text($0) } ?? .unset }
}

extension Secret {
    /// A copy of the content, which here is no secret.
    var content: [UInt8] {
        withBytes { bytes in bytes.indices.map { bytes[$0] } }
    }

    var text: String { String(validating: content, as: UTF8.self) ?? "not UTF-8" }
}

/// The error that a body ends with.
func failure(_ body: () throws(CredentialsError) -> Void) -> CredentialsError? {
    do throws(CredentialsError) {
        try body()
        return nil
    } catch {
        return error
    }
}

/// The error of loading a secret.
func loadFailure(
    _ source: CredentialSource,
    policy: FilePolicy = .standard,
    _ variables: [String: String] = [:]
) -> CredentialsError? {
    failure { () throws(CredentialsError) in
        _ = try Secret(from: source, policy: policy, in: environment(variables))
    }
}

/// Looks a C function up that the Glibc module leaves out.
func function<T>(_ name: String, as type: T.Type) -> T? {
    guard let symbol = unsafe dlsym(nil, name) else { return nil }
    return unsafe unsafeBitCast(symbol, to: type)
}

/// Whether this process runs under the address sanitizer, whose shadow memory no test can search.
let isSanitized = unsafe dlsym(nil, "__asan_init") != nil

let isRoot = geteuid() == 0
