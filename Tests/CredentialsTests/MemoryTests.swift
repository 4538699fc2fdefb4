// SPDX-License-Identifier: Apache-2.0

import Credentials
import Glibc
import SystemCalls
import SystemPackage
import Testing

/// What is left of secrets in memory.
///
/// Every test runs in a process of its own, which it searches.
@Suite(.serialized, .enabled(if: !isSanitized, "the sanitizer's shadow memory cannot be searched"))
struct MemoryTests {
    @Test func aSecretIsInMemoryOnceAndThenNot() async {
        await #expect(processExitsWith: .success) {
            let canary = try Canary()
            let path = try canary.writeFile(prefix: "", suffix: "\n")
            claim(canary.copyCount() == 0, "the test itself leaves no copy")
            do {
                let secret = try Secret(contentsOfFile: path)
                claim(secret.byteCount == Canary.byteCount, "all of it is there")
                claim(canary.copyCount() == 1, "one copy while it lives")
                claim(!secret.matches("something else"), "only the same matches")
                let other = try Secret(contentsOfFile: path)
                claim(secret.matches(other), "the same matches")
                claim(canary.copyCount() == 2, "comparing makes no copy")
            }
            claim(canary.copyCount() == 0, "no copy when it ended")
            canary.removeFile()
        }
    }

    @Test func sharedSecretsAndStoresLeaveNothing() async {
        await #expect(processExitsWith: .success) {
            let canary = try Canary()
            let path = try canary.writeFile(prefix: "", suffix: "\n")
            var store: CredentialStore? = try CredentialStore([Credential("token", from: .file(path))])
            claim(store?.health().first?.state == .valid, "it is valid")
            claim(canary.copyCount() == 1, "one copy in the store")
            var shared = try store?.secret("token")
            store = nil
            claim(canary.copyCount() == 1, "a reference keeps it")
            claim(shared != nil, "it was there")
            shared = nil
            claim(canary.copyCount() == 0, "no copy when the last reference ended")
            canary.removeFile()
        }
    }

    @Test func membersOfJSONAreCopiedIntoSecretsOnly() async {
        await #expect(processExitsWith: .success) {
            let canary = try Canary()
            // The escape in front makes the member differ from its text.
            let path = try canary.writeFile(prefix: "{\"a\": [1, {\"password\": \"\\u0041", suffix: "\"}]}")
            do {
                let secret = try Secret(contentsOfFile: path)
                claim(canary.copyCount() == 1, "the text")
                do {
                    let member = try secret.jsonSecret("a", 1, "password")
                    claim(member.byteCount == Canary.byteCount + 1, "the member is whole")
                    claim(canary.copyCount() == 2, "the text and the member")
                }
                claim(canary.copyCount() == 1, "the text alone")
            }
            claim(canary.copyCount() == 0, "no copy when it ended")
            canary.removeFile()
        }
    }

    @Test func rejectedContentLeavesNothing() async {
        await #expect(processExitsWith: .success) {
            let canary = try Canary()
            let path = try canary.writeFile(prefix: "", suffix: "")
            for format in [Credential.Format.hexKey, .json] {
                let health = CredentialStore.health(of: [Credential("token", from: .file(path), format: format)])
                claim(health.first?.state == .invalid, "it is refused")
            }
            claim(canary.copyCount() == 0, "no copy of what was refused")
            canary.removeFile()
        }
    }

    @Test func aKeyReadFromDigitsLeavesNeitherDigitsNorKey() async {
        await #expect(processExitsWith: .success) {
            let canary = try Canary()
            let path = try canary.writeFile(prefix: "", suffix: "\n", inDigits: true)
            do {
                let key = try SecretKey(hexDigitsFrom: .file(path))
                claim(canary.copyCount() == 1, "one copy of the key")
                claim(canary.copyCount(inDigits: true) == 0, "no copy of the digits")
                _ = try key.hmacSHA256(of: "message")
                _ = try SecretKey.derive(from: key, domain: "test")
                claim(canary.copyCount() == 1, "using it makes no copy")
            }
            claim(canary.copyCount() == 0, "no copy when it ended")
            canary.removeFile()
        }
    }

    /// The pipe holds on to the very page that the secret was in, beyond its unmapping.
    @Test func thePageOfASecretIsZeroWhenItEnds() async {
        await #expect(processExitsWith: .success) {
            let canary = try Canary()
            let path = try canary.writeFile(prefix: "", suffix: "")
            let kept = try OwnedDescriptor.pipe()
            let wiped = try OwnedDescriptor.pipe()
            do {
                let secret = try Secret(contentsOfFile: path)
                secret.withBytes { bytes in
                    holdPage(of: bytes, in: kept.write)
                    holdPage(of: bytes, in: wiped.write)
                }
                let live = try page(from: kept.read)
                claim(canary.isIn(live), "the page shows through the pipe")
            }
            let dead = try page(from: wiped.read)
            claim(dead.allSatisfy { $0 == 0 }, "the whole page was wiped")
            canary.removeFile()
        }
    }

    /// A second mapping of the very page that the key was in.
    @Test func thePageOfAKeyIsZeroWhenItEnds() async {
        await #expect(processExitsWith: .success) {
            let canary = try Canary()
            let path = try canary.writeFile(prefix: "", suffix: "")
            let alias: UInt
            do {
                let key = try SecretKey(bytesFrom: .file(path))
                alias = key.withBytes { mapAgain($0) }
                guard alias != 0 else {
                    // Without memfd_secret a key lives in pages like those of a secret.
                    canary.removeFile()
                    return
                }
                claim(canary.isIn(bytes(atPage: alias)), "the page shows through the second mapping")
            }
            claim(bytes(atPage: alias).allSatisfy { $0 == 0 }, "the whole page was wiped")
            canary.removeFile()
        }
    }

    @Test func pagesAreLockedAndNotDumped() async {
        await #expect(processExitsWith: .success) {
            let secret = try Secret(copying: [1, 2, 3].span)
            let flags = secret.withBytes { mappingFlags(ofPageWith: $0) }
            claim(flags.contains("lo") && flags.contains("dd") && flags.contains("wf"), "\(flags)")
            let key = try SecretKey.random()
            let ofKey = key.withBytes { mappingFlags(ofPageWith: $0) }
            claim(ofKey.contains("lo") && ofKey.contains("dd"), "\(ofKey)")
        }
    }

    @Test(.enabled(if: isRoot, "takes its own rights away"))
    func withoutLockedMemoryThereIsNoSecret() async {
        await #expect(processExitsWith: .success) {
            let canary = try Canary()
            let path = try canary.writeFile(prefix: "", suffix: "")
            try call { unsafe chown(path, 65_534, 65_534) }
            try limitLockedMemory(to: 0)
            let error = failure { () throws(CredentialsError) in _ = try Secret(contentsOfFile: path) }
            claim(error?.code == .memoryUnavailable, "\(String(describing: error))")
            claim(error?.errorNumber != nil, "the system call is named")
            let ofKey = failure { () throws(CredentialsError) in _ = try SecretKey.random() }
            claim(ofKey?.code == .memoryUnavailable, "\(String(describing: ofKey))")
            canary.removeFile()
        }
    }

    @Test(.enabled(if: isRoot, "takes its own rights away"))
    func sixtyFourKibibytesHoldSixteenSecrets() async {
        await #expect(processExitsWith: .success) {
            try limitLockedMemory(to: 64 << 10)
            var held: [SharedSecret] = []
            for _ in 0..<16 { held.append(SharedSecret(try Secret(copying: [1, 2, 3].span))) }
            let error = failure { () throws(CredentialsError) in _ = try Secret(copying: [1].span) }
            claim(error?.code == .memoryUnavailable, "\(String(describing: error))")
            claim(held.allSatisfy { $0.matches([1, 2, 3].span) }, "the others are unharmed")
            held.removeLast()
            _ = try Secret(copying: [1].span)
        }
    }
}
