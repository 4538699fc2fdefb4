// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc

/// The environment block of this process.
package enum EnvironmentVariables {
    /// The value of a variable that holds nothing secret.
    package static func value(_ name: String) -> String? {
        unsafe getenv(name).flatMap { unsafe String(validatingCString: $0) }
    }

    /// Detects a variable, without a copy of its value; wraps getenv(3).
    package static func isSet(_ name: String) -> Bool { unsafe getenv(name) != nil }

    /// Every entry, `NAME=value`, but for the names that a function refuses and what is not text; of a credential its name alone.
    package static func entries(except isRefused: (Substring) -> Bool) -> [String] {
        inheritedEntries().compactMap { String(validating: $0, as: UTF8.self) }
            .filter { entry in !isRefused(entry.prefix { $0 != "=" }) }
    }

    /// Every entry, byte by byte as it is.
    package static func rawEntries() -> [[UInt8]] {
        var entries: [[UInt8]] = []
        var entry = unsafe credfs_environment()
        while let text = unsafe entry?.pointee {
            entries.append(unsafe Array(UnsafeRawBufferPointer(start: text, count: strlen(text))))
            unsafe entry = entry?.advanced(by: 1)
        }
        return entries
    }

    /// Lends the value of a variable, then overwrites it and removes the variable.
    ///
    /// It is overwritten where the kernel shows it (`/proc/PID/environ`). Only at start, while there is one thread.
    ///
    /// - Returns: what `body` made of it, or nil where the variable is not set.
    package static func take<R: ~Copyable, E: Error>(
        _ name: String,
        _ body: (Span<UInt8>) throws(E) -> R
    ) throws(E) -> R? {
        guard let text = unsafe getenv(name) else { return nil }
        defer {
            overwriteEveryValue(of: name)
            unsafe unsetenv(name)
        }
        let raw = unsafe UnsafeRawBufferPointer(start: text, count: strlen(text))
        return try body(unsafe raw.bindMemory(to: UInt8.self).span)
    }

    /// Calls a function with each entry of the block, and its name.
    static func forEachEntry(_ body: (UnsafeMutablePointer<CChar>, [UInt8]) -> Void) {
        var entry = unsafe credfs_environment()
        while let text = unsafe entry?.pointee {
            unsafe body(text, Array(UnsafeRawBufferPointer(start: text, count: strcspn(text, "="))))
            unsafe entry = entry?.advanced(by: 1)
        }
    }

    /// A parent can put a name into the block more than once; getenv(3) shows the first only.
    static func overwriteEveryValue(of name: String) {
        let prefix = name + "="
        let prefixCount = prefix.utf8.count
        var entry = unsafe credfs_environment()
        while let text = unsafe entry?.pointee {
            if unsafe strncmp(text, prefix, prefixCount) == 0 {
                let value = unsafe text.advanced(by: prefixCount)
                unsafe explicit_bzero(value, strlen(value))
            }
            unsafe entry = entry?.advanced(by: 1)
        }
    }
}
