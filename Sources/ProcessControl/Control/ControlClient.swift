// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SystemCalls
package import SystemPackage

/// Asking a process that serves a mount.
package enum ControlClient {
    /// Time for the answer: a server that was stopped answers nothing.
    package static let patience = Duration.seconds(60)

    /// Sends a request and waits for its answer.
    ///
    /// - Parameters:
    ///   - request: the request.
    ///   - number: a descriptor that goes with it, or -1.
    ///   - name: the name of the socket.
    ///   - directory: the directory that it is in, which nobody else may write.
    ///   - user: the only user, beside root, who may listen there.
    ///   - patience: how long the answer may take.
    /// - Returns: the answer.
    /// - Throws: the error of a system call; EPERM where somebody else listens, ETIMEDOUT, ECONNRESET where there is no answer.
    package static func ask(
        _ request: ControlRequest,
        descriptor number: Int32 = -1,
        of name: String,
        in directory: borrowing OwnedDescriptor,
        user: UInt32,
        within patience: Duration = patience
    ) throws(Errno) -> ControlAnswer {
        let deadline = ContinuousClock.now + patience
        let socket = try connect(to: name, in: directory, until: deadline)
        guard [user, 0].contains(try socket.peer().user) else { throw .notPermitted }
        try socket.send(Array(request.text.utf8), descriptor: number)
        let message = try socket.receive(within: deadline - .now)
        if message.descriptor >= 0 { _ = OwnedDescriptor(owning: message.descriptor) }
        guard let answer = ControlAnswer(message.bytes.span) else { throw .connectionReset }
        return answer
    }

    private static func connect(
        to name: String,
        in directory: borrowing OwnedDescriptor,
        until deadline: ContinuousClock.Instant
    ) throws(Errno) -> MessageSocket {
        while true {
            do throws(Errno) { return try MessageSocket.connect(to: name, in: directory) } catch {
                guard error == .wouldBlock else { throw error }
                guard ContinuousClock.now < deadline else { throw .timedOut }
                usleep(10_000)
            }
        }
    }
}
