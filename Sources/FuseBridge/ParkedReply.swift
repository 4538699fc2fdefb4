// SPDX-License-Identifier: Apache-2.0

internal import CFuse3
internal import Glibc
internal import Synchronization

/// A reply that was set aside.
///
/// Ended without being taken up, it answers EIO.
package struct ParkedReply<Answer>: ~Copyable, Sendable {
    private let parking: Parking

    init(_ request: OpaquePointer, on connection: Connection) {
        parking = unsafe Parking(request, on: connection)
        parking.begin()
    }

    deinit {
        parking.abandon()
    }

    /// Takes the reply up again.
    ///
    /// - Returns: nil where the reader was interrupted and has its answer, or the session ended.
    package consuming func resume() -> Reply<Answer>? {
        guard let request = unsafe parking.take() else { return nil }
        return unsafe Reply(request, on: parking.connection)
    }
}

/// One request that is parked: whoever takes it answers it.
///
/// libfuse calls the interrupt function while it holds the lock of the request, and clearing the function waits for that
/// lock. So the function, once it has the request, answers without clearing; everybody else clears first, after which no
/// call can be under way and this object may go. Registering an interrupt that came before calls the function from
/// within, where libfuse still needs the request: such a call only leaves a note.
@safe
final class Parking: @unchecked Sendable {
    // SAFETY: `request` is used only by the one that moved `phase` to `taken`, or before `begin` returns.

    private enum Phase {
        case registering
        case interruptedEarly
        case waiting
        case taken
    }

    let connection: Connection
    private let request: OpaquePointer
    private let phase = Mutex(Phase.registering)

    init(_ request: OpaquePointer, on connection: Connection) {
        unsafe self.request = unsafe request
        self.connection = connection
    }

    /// Begins to take interrupts; the connection keeps this object until it is taken.
    func begin() {
        connection.parked.insert(self)
        unsafe fuse_req_interrupt_func(
            request,
            { _, data in unsafe Parking.from(data)?.interrupt() },
            Unmanaged.passUnretained(self).toOpaque()
        )
        let interrupted = phase.withLock { phase in
            let early = phase == .interruptedEarly
            phase = early ? .taken : .waiting
            return early
        }
        if interrupted {
            clear()
            connection.note(unsafe fuse_reply_err(request, EINTR))
        }
    }

    /// Takes the request in order to answer it.
    func take() -> OpaquePointer? {
        let mine = phase.withLock { phase in
            guard phase == .waiting else { return false }
            phase = .taken
            return true
        }
        guard mine else { return nil }
        clear()
        return unsafe request
    }

    /// Answers EIO unless somebody has answered, or another server will.
    func abandon() {
        if let request = unsafe take() { unsafe connection.abandon(request) }
    }

    private func interrupt() {
        let mine = phase.withLock { phase in
            switch phase {
            case .registering:
                phase = .interruptedEarly
                return false
            case .waiting:
                phase = .taken
                return true
            case .interruptedEarly, .taken: return false
            }
        }
        guard mine else { return }
        connection.note(unsafe fuse_reply_err(request, EINTR))
        connection.parked.remove(self)
    }

    private func clear() {
        unsafe fuse_req_interrupt_func(request, nil, nil)
        connection.parked.remove(self)
    }

    private static func from(_ data: UnsafeMutableRawPointer?) -> Parking? {
        guard let data = unsafe data else { return nil }
        return unsafe Unmanaged<Parking>.fromOpaque(data).takeUnretainedValue()
    }
}

/// The requests of a connection that are parked.
final class PendingReplies: Sendable {
    private let entries = Mutex<[ObjectIdentifier: Parking]>([:])

    func insert(_ parking: Parking) {
        entries.withLock { $0[ObjectIdentifier(parking)] = parking }
    }

    func remove(_ parking: Parking) {
        _ = entries.withLock { $0.removeValue(forKey: ObjectIdentifier(parking)) }
    }

    /// Answers every request that is parked.
    func abandonAll() {
        for parking in entries.withLock({ Array($0.values) }) { parking.abandon() }
    }

    var count: Int { entries.withLock { $0.count } }
}
