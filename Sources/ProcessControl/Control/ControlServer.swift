// SPDX-License-Identifier: Apache-2.0

internal import Synchronization
package import SystemCalls
package import SystemPackage

/// Thread that answers requests on a control socket, one client after the other.
///
/// A client has two seconds to say something. It never holds a lock that a worker of a mount needs.
package final class ControlServer: Sendable {
    /// Time that a client has for its request.
    private static let patience = Duration.seconds(2)
    /// Pause after an error of the system, such as too many open files.
    private static let pause = 100

    private let socket: ListeningSocket
    private let refusal: @Sendable (MessageSocket.Peer) -> ControlAnswer.Failure?
    private let answer: @Sendable (ControlRequest, ReceivedDescriptor?) -> ControlAnswer
    private let bell: Doorbell
    private let isEnding = Atomic<Bool>(false)
    private let thread = Mutex<OwnThread?>(nil)

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - socket: a socket that listens.
    ///   - refusal: why a client may ask for nothing; nil for one that may.
    ///   - answer: acts on a request, on the thread.
    /// - Throws: the error of pipe2(2) or pthread_create(3).
    package init(
        _ socket: consuming ListeningSocket,
        refusal: @escaping @Sendable (MessageSocket.Peer) -> ControlAnswer.Failure?,
        answer: @escaping @Sendable (ControlRequest, ReceivedDescriptor?) -> ControlAnswer
    ) throws(Errno) {
        self.socket = socket
        self.refusal = refusal
        self.answer = answer
        bell = try Doorbell.make()
        let thread = try OwnThread { self.work() }
        self.thread.withLock { $0 = thread }
    }

    /// Ends the thread, which leaves a client that says nothing.
    package func end() {
        isEnding.store(true, ordering: .releasing)
        bell.ring()
        thread.withLock { $0.take() }?.join()
    }

    private func work() {
        while !isEnding.load(ordering: .acquiring) {
            do throws(Errno) {
                let isReady = try Readiness.wait(for: [socket.descriptor.number, bell.number])
                guard isReady[0], let client = try socket.accept() else { continue }
                try serve(client)
            } catch {
                // A client that went away is no reason to wait, but who can tell.
                bell.wait(milliseconds: Self.pause)
            }
        }
    }

    private func serve(_ client: consuming MessageSocket) throws(Errno) {
        let refusal = refusal(try client.peer())
        let isReady = try Readiness.wait(for: [client.descriptor.number, bell.number], timeout: Self.patience)
        guard isReady[0] else { return }
        let message = try client.receive()
        let descriptor = message.descriptor < 0 ? nil : ReceivedDescriptor(owning: message.descriptor)
        guard !message.bytes.isEmpty else { return }
        // Only now: what is not received when a connection is closed resets it, and the answer is lost.
        if let refusal { return reply(client, ControlAnswer(refusal)) }
        guard let request = ControlRequest(message.bytes.span) else {
            return reply(client, ControlAnswer(.init(status: 64, message: "the server knows no such request")))
        }
        reply(client, answer(request, descriptor))
    }

    /// Sends an answer; whoever does not read it is not waited for.
    private func reply(_ client: borrowing MessageSocket, _ answer: ControlAnswer) {
        try? client.send(Array(answer.text.utf8))
    }
}
