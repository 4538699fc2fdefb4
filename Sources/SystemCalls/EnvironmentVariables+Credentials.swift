// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Variables with which somebody is let in by a server: the job inherits them, and so do the processes that ask; nobody else keeps them.
///
/// In a list of entries such a variable stands as its name alone. Whatever starts a program puts in the entry of the environment
/// block of this process (`CStrings`), so that no copy of the value is left where nobody overwrites it.
extension EnvironmentVariables {
    /// Names of these variables.
    package static let credentialNames = [
        "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "VAULT_TOKEN", "VAULT_SECRET_ID", "CLOUDSDK_AUTH_ACCESS_TOKEN", "GOOGLE_OAUTH_ACCESS_TOKEN",
        "AZURE_CLIENT_SECRET",
    ]

    /// Every entry, byte by byte as it is; of a credential its name alone.
    package static func inheritedEntries() -> [[UInt8]] {
        var entries: [[UInt8]] = []
        unsafe forEachEntry { entry, name in
            if isCredential(name) {
                entries.append(name)
            } else {
                entries.append(unsafe Array(UnsafeRawBufferPointer(start: entry, count: strlen(entry))))
            }
        }
        return entries
    }

    /// Detects the name of a credential.
    static func isCredential(_ name: [UInt8]) -> Bool {
        credentialNames.contains { $0.utf8.count == name.count && $0.utf8.elementsEqual(name) }
    }

    /// The entry of a variable in the environment block, which stays there.
    static func entry(of name: [UInt8]) -> UnsafeMutablePointer<CChar>? {
        var found: UnsafeMutablePointer<CChar>?
        unsafe forEachEntry { entry, other in
            if unsafe found == nil, other == name, unsafe strlen(entry) > name.count { unsafe found = entry }
        }
        return unsafe found
    }

    /// Overwrites the values of credentials where the kernel shows them, once everything is started that inherits them.
    ///
    /// The variables stay, and are empty: nothing moves under other threads.
    package static func overwriteCredentials() {
        for name in credentialNames { overwriteEveryValue(of: name) }
    }

    /// The bytes that `takeCredentials` writes.
    package static func credentialByteCount() -> Int {
        var count = 0
        unsafe forEachEntry { entry, name in
            if isCredential(name) { count += unsafe strlen(entry) + 1 }
        }
        return count
    }

    /// Moves the credentials out of the environment block: entries that are ended by a zero byte each.
    ///
    /// - Parameter bytes: where to; `credentialByteCount` of them.
    package static func takeCredentials(into bytes: inout MutableSpan<UInt8>) {
        var filled = 0
        unsafe forEachEntry { entry, name in
            guard isCredential(name) else { return }
            // With its zero byte.
            let count = Int(unsafe strlen(entry)) + 1
            for index in 0..<count {
                bytes[filled] = UInt8(bitPattern: unsafe entry[index])
                filled += 1
            }
        }
        overwriteCredentials()
        for name in credentialNames { unsafe unsetenv(name) }
    }
}
