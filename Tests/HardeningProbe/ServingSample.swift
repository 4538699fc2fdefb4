// SPDX-License-Identifier: Apache-2.0

import CProbeCalls
import Glibc
import SystemCalls
import SystemPackage

/// A thread that is there before the filter, and says whether it is bound as well.
final class Waiter {
    private let gate: OwnedDescriptor.Pipe
    private let thread: pthread_t

    init() throws {
        let gate = try OwnedDescriptor.pipe()
        var thread = pthread_t()
        let number = unsafe UnsafeMutableRawPointer(bitPattern: Int(gate.read.number))
        unsafe pthread_create(
            &thread,
            nil,
            { number in
                var byte: UInt8 = 0
                _ = unsafe read(Int32(Int(bitPattern: number)), &byte, 1)
                return unsafe UnsafeMutableRawPointer(bitPattern: Int(FilterAttempts.call(SYS_socket, [2, 1, 0])))
            },
            number
        )
        self.gate = gate
        self.thread = thread
    }

    func finish() throws {
        try gate.write.writeAll("x")
        var result: UnsafeMutableRawPointer?
        unsafe pthread_join(thread, &result)
        print("attempt in-another-thread \(Int(bitPattern: result))")
    }
}

/// What a server has to be able to do.
enum ServingSample {
    /// Does it.
    ///
    /// - Returns: "works"; it ends early where something does not.
    static func run(in directory: String) throws -> String {
        let place = try OwnedDescriptor.open(directory, O_RDONLY | O_DIRECTORY)
        let file = try place.open("written", O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
        try file.writeAll("text")
        try file.setPermissions(0o400)
        try place.rename("written", to: "renamed")
        try place.unlink("renamed")
        _ = try place.entryNames()
        _ = ProcessTree.parent(of: getpid())
        _ = try ProcessAttributes.lockableByteCount()
        for _ in 0..<4 {
            var thread = pthread_t()
            guard unsafe pthread_create(&thread, nil, { _ in unsafe malloc(1 << 20) }, nil) == 0 else {
                return "no thread"
            }
            var memory: UnsafeMutableRawPointer?
            unsafe pthread_join(thread, &memory)
            guard unsafe memory != nil else { return "no memory" }
            unsafe free(memory)
        }
        return "works"
    }
}
