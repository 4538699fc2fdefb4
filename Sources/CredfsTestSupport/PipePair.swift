// SPDX-License-Identifier: Apache-2.0

internal import CTestCalls
internal import Glibc

/// A pipe whose ends no program inherits unless it is given one.
package final class PipePair {
    /// The end that is read.
    package private(set) var output: Int32
    /// The end that is written.
    package private(set) var input: Int32

    /// Makes a pipe.
    package init() {
        var ends: [Int32] = [-1, -1]
        precondition(unsafe pipe2(&ends, O_CLOEXEC) == 0, "a pipe can be made")
        output = ends[0]
        input = ends[1]
    }

    deinit {
        closeInput()
        closeOutput()
    }

    /// Ends what can be read.
    package func closeInput() {
        if input >= 0 { close(input) }
        input = -1
    }

    /// Leaves nobody to read.
    package func closeOutput() {
        if output >= 0 { close(output) }
        output = -1
    }

    /// Writes bytes that the pipe has room for.
    package func write(_ bytes: [UInt8]) {
        let count = unsafe Glibc.write(input, bytes, bytes.count)
        precondition(count == bytes.count, "the pipe has room")
    }

    /// Reads what is there, or waits for some bytes.
    package func read(atMost count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let filled = unsafe Glibc.read(output, &bytes, count)
        return Array(bytes.prefix(max(0, filled)))
    }

    /// Makes writes fail where they would wait.
    package func makeInputNonBlocking() {
        precondition(credfs_test_set_nonblocking(input) == 0, "a flag can be set")
    }

    /// Number of bytes that were written and not read yet.
    package var unreadByteCount: Int { Int(credfs_test_unread_byte_count(input)) }
}

/// Changes of directories that Foundation cannot make.
package enum DirectoryChange {
    /// Exchanges two names in one step; wraps renameat2(2).
    package static func exchange(_ first: String, _ second: String) -> Bool {
        unsafe credfs_test_exchange(first, second) == 0
    }
}
