// SPDX-License-Identifier: Apache-2.0

package import SystemCalls

/// Loop of a process that waits for another one and has its signals to look after meanwhile.
extension SignalQueue {
    /// Waits until a descriptor can be read or was closed at its other end.
    ///
    /// Whoever waits for credfs sees it stop with its child, and go on with it. The end of the child is left to be waited
    /// for by others.
    ///
    /// - Parameters:
    ///   - number: the descriptor.
    ///   - child: the process at its other end.
    ///   - handle: called with each signal but SIGCHLD.
    /// - Throws: what the function throws, or the error of a system call.
    package func wait(for number: Int32, of child: Int32, handle: (Arrival) throws -> Void) throws {
        while true {
            if try Children.isStopped(child) { Children.stop(with: child) }
            while let arrival = try next() {
                if !arrival.isOfChild { try handle(arrival) }
            }
            if SignalQueue.isReadable(number) { return }
            try wait(or: [number])
        }
    }

    /// Takes and forgets what has arrived.
    package func drain() {
        while (try? next()) != nil {}
    }
}
