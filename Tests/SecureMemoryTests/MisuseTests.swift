// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// What the compiler refuses to do with a secret: these are type errors, not matters of review.
@Suite struct MisuseTests {
    @Test(
        arguments: [
            ("func misuse(_ b: borrowing SecureBuffer) { print(b) }", "Copyable"),
            ("func misuse(_ b: borrowing SecureBuffer) { debugPrint(b) }", "Copyable"),
            ("func misuse(_ b: borrowing SecureBuffer) { dump(b) }", "Copyable"),
            ("func misuse(_ b: borrowing SecureBuffer) -> String { \"\\(b)\" }", "appendInterpolation"),
            ("func misuse(_ b: borrowing SecureBuffer) -> String { String(describing: b) }", "Copyable"),
            ("func misuse(_ b: borrowing SecureBuffer) -> Any { b }", "Copyable"),
            ("func misuse(_ b: borrowing SecureBuffer) -> Mirror { Mirror(reflecting: b) }", "Copyable"),
            ("func misuse(_ b: borrowing SecureBuffer) -> SecureBuffer { b }", "borrowed"),
            ("func misuse(_ b: consuming SecureBuffer) -> Int { let c = b; return b.count }", "after consume"),
            ("func misuse(_ b: consuming SecureBuffer) -> [SecureBuffer] { [b] }", "Copyable"),
            ("let misuse: any Encodable.Type = SecureBuffer.self", "cannot convert"),
            ("func misuse(_ a: borrowing SecureBuffer, _ b: borrowing SecureBuffer) -> Bool { a == b }", "'=='"),
            ("func misuse(_ b: borrowing SecureBuffer) -> Int { b.withBytes { $0 }.count }", "Escapable"),
        ]
    )
    func doesNotCompile(code: String, reason: String) async throws {
        let outcome = try await compile(code)
        #expect(outcome.status == .exited(1))
        #expect(outcome.errorText.contains("error:"))
        #expect(outcome.errorText.contains(reason), "\(outcome.errorText)")
    }

    @Test func properUseCompiles() async throws {
        let outcome = try await compile(
            """
            func use(_ b: consuming SecureBuffer) -> Int {
                let moved = b
                return moved.withBytes { $0.count }
            }
            """
        )
        #expect(outcome.status == .exited(0), "\(outcome.errorText)")
    }

    private func compile(_ code: String) async throws -> ChildProcess.Outcome {
        let directory = try TemporaryDirectory()
        let file = try directory.write(Array(("import SecureMemory\n" + code + "\n").utf8), to: "code.swift")
        let headers = PackageDirectory.products + "../../checkouts/swift-system/Sources/CSystem/include"
        return try await ChildProcess.run(
            "/usr/bin/env",
            [
                "swiftc", "-frontend", "-emit-sil", "-o", "/dev/null", "-swift-version", "6",
                "-package-name", PackageDirectory.moduleSafeName, "-I", PackageDirectory.products + "Modules",
                "-module-cache-path", PackageDirectory.products + "ModuleCache", "-I", headers,
                "-I", PackageDirectory.root + "Sources/CLinux", file,
            ]
        )
    }
}
