// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SystemCalls
package import SystemPackage

/// Asking a process that serves a mount.
package enum ControlClient {
    /// Time for the answer, in which a server may have to derive a key from a password.
    package static let patience = Duration.seconds(60)

    /// Time between two looks at the server.
    private static let glance = Duration.milliseconds(500)

    /// Sends a request and waits for its answer.
    ///
    /// - Parameters:
    ///   - request: the request.
    ///   - number: a descriptor that goes with it, or -1.
    ///   - name: the name of the socket.
    ///   - directory: the directory that it is in, which nobody else may write.
    ///   - user: the only user, beside root, who may listen there.
    ///   - patience: how long the answer may take.
    ///   - isGoingOn: whether there still can be one; asked twice before it counts, a stop may be short.
    /// - Returns: the answer.
    /// - Throws: the error of a system call; EPERM where somebody else listens, ETIMEDOUT, ECANCELED where it cannot come,
    ///   ECONNRESET where there is none.
    package static func ask(
        _ request: ControlRequest,
        descriptor number: Int32 = -1,
        of name: String,
        in directory: borrowing OwnedDescriptor,
        user: UInt32,
        within patience: Duration = patience,
        goingOn isGoingOn: () -> Bool = { true }
    ) throws(Errno) -> ControlAnswer {
        let deadline = ContinuousClock.now + patience
        let socket = try connect(to: name, in: directory, until: deadline)
        guard [user, 0].contains(try socket.peer().user) else { throw .notPermitted }
        try socket.send(Array(request.text.utf8), descriptor: number)
        var halts = 0
        while try Readiness.wait(for: [socket.descriptor.number], timeout: min(deadline - .now, Self.glance)) == [false]
        {
            guard ContinuousClock.now < deadline else { throw .timedOut }
            halts = isGoingOn() ? 0 : halts + 1
            guard halts < 2 else { throw .canceled }
        }
        let message = try socket.receive()
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
