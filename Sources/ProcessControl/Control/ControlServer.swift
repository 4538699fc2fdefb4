// SPDX-License-Identifier: Apache-2.0

internal import Synchronization
package import SystemCalls
package import SystemPackage

/// Thread that answers requests on a control socket, one after the other.
///
/// A client has two seconds to say something, and keeps nobody waiting meanwhile. The thread never holds a lock that a worker
/// of a mount needs.
package final class ControlServer: Sendable {
    /// Time that a client has for its request.
    private static let patience = Duration.seconds(2)
    /// Most clients, of those who may ask and of those who may not, that have said nothing yet.
    private static let mostClients = 16
    /// Pause after an error of the system, such as too many open files.
    private static let pause = 100

    private let socket: ListeningSocket
    private let refusal: @Sendable (MessageSocket.Peer) -> ControlAnswer.Failure?
    private let answer: @Sendable (ControlRequest, ReceivedDescriptor?) -> ControlAnswer
    private let bell: Doorbell
    private let isEnding = Atomic<Bool>(false)
    private let thread = Mutex<OwnThread?>(nil)

    /// Prepares the thread, which is started by `startIfAsked`: most mounts are never asked for anything.
    ///
    /// - Parameters:
    ///   - socket: a socket that listens.
    ///   - refusal: why a client may ask for nothing; nil for one that may.
    ///   - answer: acts on a request, on the thread.
    /// - Throws: the error of pipe2(2).
    package init(
        _ socket: consuming ListeningSocket,
        refusal: @escaping @Sendable (MessageSocket.Peer) -> ControlAnswer.Failure?,
        answer: @escaping @Sendable (ControlRequest, ReceivedDescriptor?) -> ControlAnswer
    ) throws(Errno) {
        self.socket = socket
        self.refusal = refusal
        self.answer = answer
        bell = try Doorbell.make()
    }

    /// Can be read when a client has come and the thread was not started; -1 once it was.
    package var notice: Int32 { thread.withLock { $0 == nil ? socket.descriptor.number : -1 } }

    /// Starts the thread where a client has come; waits a moment where that cannot be done.
    package func startIfAsked() {
        guard SignalQueue.isReadable(notice) else { return }
        do throws(Errno) { try start() } catch { bell.wait(milliseconds: Self.pause) }
    }

    /// Starts the thread, once.
    ///
    /// - Throws: the error of pthread_create(3).
    package func start() throws(Errno) {
        try thread.withLock { (thread) throws(Errno) in
            if thread == nil { thread = try OwnThread { self.work() } }
        }
    }

    /// Ends the thread, which leaves a client that says nothing.
    package func end() {
        isEnding.store(true, ordering: .releasing)
        bell.ring()
        thread.withLock { $0.take() }?.join()
    }

    /// A client that has said nothing yet.
    private final class Client {
        let socket: MessageSocket
        let refusal: ControlAnswer.Failure?
        let deadline = ContinuousClock.now + patience

        init(_ socket: consuming MessageSocket, _ refusal: ControlAnswer.Failure?) {
            self.socket = socket
            self.refusal = refusal
        }
    }

    private func work() {
        var clients: [Client] = []
        while !isEnding.load(ordering: .acquiring) {
            do throws(Errno) {
                // They have come one after the other, so the first is the first whose time is up.
                let ready = try Readiness.wait(
                    for: [bell.number, socket.descriptor.number] + clients.map { $0.socket.descriptor.number },
                    timeout: clients.first.map { $0.deadline - .now }
                )
                let speaking = zip(clients, ready.dropFirst(2)).filter(\.1).map(\.0)
                clients.removeAll { client in client.deadline <= .now || speaking.contains { $0 === client } }
                for client in speaking { try? serve(client) }
                if ready[1], let socket = try socket.accept() { try admit(socket, to: &clients) }
            } catch {
                // A client that went away is no reason to wait, but who can tell.
                bell.wait(milliseconds: Self.pause)
            }
        }
    }

    /// Takes a client in.
    ///
    /// Those who may ask for nothing displace each other and nobody else.
    private func admit(_ socket: consuming MessageSocket, to clients: inout [Client]) throws(Errno) {
        let client = Client(socket, refusal(try socket.peer()))
        let isRefused = client.refusal != nil
        let alike = clients.count { ($0.refusal != nil) == isRefused }
        if alike >= Self.mostClients, let first = clients.firstIndex(where: { ($0.refusal != nil) == isRefused }) {
            clients.remove(at: first)
        }
        clients.append(client)
    }

    private func serve(_ client: Client) throws(Errno) {
        let message = try client.socket.receive()
        let descriptor = message.descriptor < 0 ? nil : ReceivedDescriptor(owning: message.descriptor)
        guard !message.bytes.isEmpty else { return }
        // Only now: what is not received when a connection is closed resets it, and the answer is lost.
        if let refusal = client.refusal { return reply(client, ControlAnswer(refusal)) }
        guard let request = ControlRequest(message.bytes.span) else {
            return reply(client, ControlAnswer(.init(status: 64, message: "the server knows no such request")))
        }
        // A client says one thing: what can be read now is the end of its connection. It has given up on a server that was
        // stopped, and said so.
        guard try Readiness.wait(for: [client.socket.descriptor.number], timeout: .zero) == [false] else { return }
        reply(client, answer(request, descriptor))
    }

    /// Sends an answer; whoever does not read it is not waited for.
    private func reply(_ client: Client, _ answer: ControlAnswer) {
        try? client.socket.send(Array(answer.text.utf8))
    }
}
