// SPDX-License-Identifier: Apache-2.0

internal import CTestCalls
internal import Glibc

/// An environment block laid out as a parent process could: for exit tests only, since it replaces the real one.
@safe
package struct EnvironmentBlock: ~Copyable {
    private let entries: [UnsafeMutablePointer<CChar>?]
    private let byteCounts: [Int]
    // SAFETY: exit tests have one thread.
    /// Blocks that were made: whoever looks for memory that was lost finds their owner here.
    private nonisolated(unsafe) static var made = unsafe [UnsafeMutablePointer<CChar>?]()

    /// Makes the entries the environment of this process.
    ///
    /// They are never freed.
    package init(_ texts: [String]) {
        byteCounts = texts.map(\.utf8.count)
        unsafe entries = texts.map { unsafe strdup($0) }
        unsafe Self.made += entries
        let block = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: texts.count + 1)
        for index in texts.indices { unsafe block[index] = unsafe entries[index] }
        unsafe block[texts.count] = nil
        unsafe credfs_test_set_environment(block)
    }

    /// The bytes where an entry was at the beginning, wherever the block points now.
    package func memory(ofEntry index: Int) -> [UInt8] {
        unsafe Array(UnsafeRawBufferPointer(start: entries[index], count: byteCounts[index]))
    }
}
