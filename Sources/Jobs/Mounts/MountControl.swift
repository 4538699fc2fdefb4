// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
internal import SecretFileSystem
internal import SystemCalls
internal import SystemPackage

extension SecretFileSystem {
    /// Status of a mount, as its server tells it.
    var status: ControlAnswer {
        let counts = counts.reading
        return ControlAnswer(counts: [
            "generation": snapshot.generation, "locked": isLocked ? 1 : 0, "opens": counts.granted,
            "denied": counts.denied, "failed": counts.failed, "handles": counts.handles,
            "generationSeconds": UInt64(max(0, age.components.seconds)),
        ])
    }
}

/// Control socket of a live mount: RUNTIME/credfs/control/ID, for its owner and root (decision 0090).
final class MountControl {
    private let directory: OwnedDescriptor
    private let name: String
    private let mailbox: ControlMailbox
    private var socket: ListeningSocket?
    private var server: ControlServer?

    /// Binds the socket, before this process is bound by `ServingFilter`.
    ///
    /// - Throws: class `place` where something is there already or the directory cannot be trusted.
    init(of id: String, in runtime: RuntimeDirectory) throws(MountError) {
        name = id
        directory = try runtime.openControl()
        do throws(Errno) {
            mailbox = try ControlMailbox()
            socket = try ListeningSocket(named: id, in: directory)
        } catch {
            throw MountError.system(.place, "listen on \(runtime.path)/control/\(id)", error)
        }
    }

    deinit {
        end()
    }

    /// Descriptors of which one can be read when `answer` has something to do; -1 is none.
    var numbers: [Int32] { [mailbox.notice, server?.notice ?? -1] }

    /// Begins to talk to clients, on a thread.
    ///
    /// - Parameters:
    ///   - job: the processes that may ask for nothing; nil for a mount that belongs to no job.
    ///   - status: what is served, asked for on that thread.
    ///   - refresh: asks sources again, on that thread.
    ///   - health: tells what is known of them, on that thread.
    /// - Throws: class `failed`.
    func begin(
        refusing job: ProcessTreePolicy?,
        status: @escaping @Sendable () -> ControlAnswer,
        refresh: SourceRefresh?,
        health: SourceHealth?
    ) throws(MountError) {
        guard let socket = socket.take() else { return }
        let owner = ProcessAttributes.effectiveUser
        do throws(Errno) {
            server = try ControlServer(
                socket,
                refusal: { Self.refusal(of: $0, owner: owner, job: job) },
                answer: { [mailbox] (request, descriptor) in
                    if request.action == .status { return status() }
                    if request.action == .health {
                        let number = request.names?.first.flatMap { Int($0) } ?? 0
                        return health?(number) ?? ControlAnswer(counts: ["sources": 0])
                    }
                    // Not on the main thread, which no source may keep waiting.
                    let failure = request.action == .refresh ? refresh?(request.names) : nil
                    let answer = mailbox.ask(request, descriptor)
                    guard answer.failure == nil, let failure else { return answer }
                    return ControlAnswer(failure)
                }
            )
        } catch { throw MountError(.failed, "cannot serve the control socket: \(error.message)") }
    }

    /// Acts on the request that waits, if one does, for a mount that is served or not.
    func answer(_ served: ServedMount?, _ store: (any ServedStore)?, _ record: MountRecord?) {
        server?.startIfAsked()
        guard let letter = mailbox.take() else { return }
        mailbox.answer(Self.act(on: letter, served, store, record))
    }

    private static func act(
        on letter: ControlMailbox.Letter,
        _ served: ServedMount?,
        _ store: (any ServedStore)?,
        _ record: MountRecord?
    ) -> ControlAnswer {
        guard let served, let store else {
            return ControlAnswer(
                .init(
                    status: 10,
                    message: "this mount shows what it was started with and cannot change",
                    hint: "end it and start it again"
                )
            )
        }
        do {
            switch letter.request.action {
            case .status, .health: break
            case .reload, .refresh: try served.reload(store, record)
            case .lock: served.lock(store, record)
            case .unlock:
                guard let descriptor = letter.descriptor else {
                    throw MountError(.usage, "no key came with the request")
                }
                try served.unlock(store, with: descriptor, record)
            }
            return ControlAnswer(counts: ["generation": served.snapshot.generation])
        } catch { return ControlAnswer(store.failure(of: error)) }
    }

    /// Ends the thread and removes the socket; whoever waits is told so.
    func end() {
        mailbox.close()
        server?.end()
        server = nil
        socket = nil
        try? directory.unlink(name)
    }

    /// Decides about a client: its user is the owner's or root, and it is no process of the job.
    ///
    /// A process that cannot be seen from here cannot be told from one of the job.
    static func refusal(
        of peer: MessageSocket.Peer,
        owner: UInt32,
        job: ProcessTreePolicy?
    ) -> ControlAnswer.Failure? {
        guard [owner, 0].contains(peer.user) else {
            return .init(status: 21, message: "only its owner and root control a mount")
        }
        if let job, peer.process <= 0 || job.contains(peer.process) {
            return .init(
                status: 21,
                message: "a job does not control its own mount",
                hint: "ask from outside of the job"
            )
        }
        return nil
    }

    /// Removes the sockets of a mount whose server was killed.
    static func removeSockets(of id: String, in runtime: RuntimeDirectory) {
        guard let directory = try? runtime.openControl() else { return }
        for name in [id, MountKeeper.socketName(of: id)] { try? directory.unlink(name) }
    }

    /// Removes the socket of the server before, for the next one to listen.
    static func removeSocket(of id: String, in runtime: RuntimeDirectory) { try? runtime.openControl().unlink(id) }

    /// Identifier of the mount of a socket: the server's has its name, the keeper's a longer one.
    private static func id(in name: String) -> String { String(name.prefix { $0 != "." }) }

    /// Removes the sockets of all servers that were killed.
    static func removeLeft(in runtime: RuntimeDirectory) {
        guard let directory = try? runtime.openControl(), let names = try? directory.entryNames(), !names.isEmpty
        else { return }
        // Looked for after the sockets: whoever binds one has written its record before. One that cannot be looked at is there:
        // a command that has no descriptors left must take no server its socket.
        guard let live = try? runtime.descriptor.open("live", O_RDONLY | O_DIRECTORY | O_NOFOLLOW) else { return }
        for name in names {
            do throws(Errno) { _ = try live.openEntry(id(in: name)).number } catch {
                if error == .noSuchFileOrDirectory { try? directory.unlink(name) }
            }
        }
    }
}
