// SPDX-License-Identifier: Apache-2.0

internal import FuseBridge
internal import Sealing
internal import SecretFileSystem
internal import SystemCalls
internal import SystemPackage

/// Keeping of a mount for the next server (spec M11): its ledger, and the process that holds it while no server lives.
///
/// The first server makes both; every other takes them over.
final class Keeping {
    /// Ledger that snapshots are made with.
    let ledger: MountLedger
    /// Way of the session to begin.
    let succession: Succession
    private(set) var keeper: MountKeeper?
    private var device: OwnedDescriptor?
    private var record: OwnedDescriptor?

    /// Prepares to keep a mount that is to be made.
    ///
    /// - Throws: class `mount`.
    init() throws(MountError) {
        let ledger = try MountError.wrapping(.mount, "make the ledger of the mount") { () throws(Errno) in
            try MountLedger()
        }
        self.ledger = ledger
        succession = .first { ledger.note($0) }
    }

    /// Takes over a mount of another server, which is asked to go where it lives.
    ///
    /// - Parameters:
    ///   - mount: the mount.
    ///   - runtime: where it was found.
    ///   - token: what its server had derived from the key of the store.
    /// - Throws: class `mount`; then it is left to the next one who tries.
    init(takingOver mount: LiveMount, in runtime: RuntimeDirectory, proving token: borrowing Key256) throws(MountError)
    {
        let keeper = try MountKeeper(of: mount, in: runtime, proving: token)
        device = try keeper.receive(.device)
        let file = try keeper.receive(.ledger)
        record = try keeper.receive(.record)
        self.keeper = keeper
        let ledger: MountLedger
        do throws(Errno) { ledger = try MountLedger(continuing: file) } catch {
            throw MountError.system(.mount, "go on with the ledger of \(mount.path)", error)
        }
        guard let negotiation = ledger.negotiation else {
            throw MountError(.mount, "nobody has served \(mount.path) yet", hint: "unmount it: credfs unmount")
        }
        self.ledger = ledger
        succession = .next(negotiation)
    }

    /// The mount of another server is taken over.
    var isTakenOver: Bool { ledger.isInherited }

    /// The device that was taken over; nil where the mount is to be made.
    func takeDevice() -> OwnedDescriptor? { device.take() }

    /// The record that was taken over; nil where it is to be made.
    func takeRecord() -> OwnedDescriptor? { record.take() }

    /// Starts the process that keeps a mount which is about to be made, and takes it away until it is told to keep it.
    ///
    /// - Throws: class `mount` or `place`.
    func start(_ path: String, _ id: String, in runtime: RuntimeDirectory) throws(MountError) {
        keeper = try MountKeeper(of: path, id, in: runtime)
    }

    /// Hands over what the next server needs.
    ///
    /// - Throws: class `mount`.
    func hold(_ device: borrowing OwnedDescriptor, record: Int32) throws(MountError) {
        try keeper?.hold(device, ledger, record: record)
    }

    /// Lets the next server be one that proves with a token; once the kernel has asked for the first time.
    ///
    /// - Returns: false where this kernel cannot hand over what a server has taken and not answered: then nobody may.
    func accept(_ token: borrowing Key256) -> Bool {
        guard ledger.negotiation?.offersResend == true else { return false }
        return (try? keeper?.accept(token)) != nil
    }
}
