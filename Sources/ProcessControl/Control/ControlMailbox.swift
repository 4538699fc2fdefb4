// SPDX-License-Identifier: Apache-2.0

internal import Synchronization
package import SystemCalls
package import SystemPackage

/// Descriptor that came with a message, for several owners.
package final class ReceivedDescriptor: Sendable {
    /// The descriptor.
    package let descriptor: OwnedDescriptor

    /// Takes over a descriptor.
    package init(owning number: Int32) {
        descriptor = OwnedDescriptor(owning: number)
    }
}

/// Hands requests from the thread of a control socket to the main thread, which alone may act on them, one at a time.
package final class ControlMailbox: Sendable {
    /// A request, and the descriptor that came with it.
    package struct Letter: Sendable {
        /// The request.
        package let request: ControlRequest
        /// The descriptor.
        package let descriptor: ReceivedDescriptor?
    }

    private struct State {
        var letter: Letter?
        var answer: ControlAnswer?
        var isClosed = false
    }

    private let state = Mutex(State())
    private let question: Doorbell
    private let reply: Doorbell

    /// Makes an empty one.
    ///
    /// - Throws: the error of pipe2(2).
    package init() throws(Errno) {
        question = try Doorbell.make()
        reply = try Doorbell.make()
    }

    /// Can be read while a request waits.
    package var notice: Int32 { question.number }

    /// Hands a request over and waits for its answer, however long that takes; on the thread of the socket.
    package func ask(_ request: ControlRequest, _ descriptor: ReceivedDescriptor?) -> ControlAnswer {
        state.withLock { $0.letter = Letter(request: request, descriptor: descriptor) }
        question.ring()
        while true {
            let (answer, isClosed) = state.withLock { state in
                let answer = state.answer
                state.answer = nil
                return (answer, state.isClosed)
            }
            if let answer { return answer }
            if isClosed { return ControlAnswer(.init(status: 10, message: "the mount is ending")) }
            reply.wait(milliseconds: nil)
        }
    }

    /// Takes the request that waits; it must be answered.
    package func take() -> Letter? {
        question.wait(milliseconds: 0)
        return state.withLock { state in
            let letter = state.letter
            state.letter = nil
            return letter
        }
    }

    /// Answers the request that was taken.
    package func answer(_ answer: ControlAnswer) {
        state.withLock { $0.answer = answer }
        reply.ring()
    }

    /// Answers whoever waits, and everything from now on, that the mount is ending.
    package func close() {
        state.withLock { $0.isClosed = true }
        reply.ring()
    }
}
