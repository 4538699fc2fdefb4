// SPDX-License-Identifier: Apache-2.0

internal import AuditLog
internal import FuseBridge
internal import SecretStore
internal import SecureMemory
internal import Synchronization
internal import SystemCalls
internal import SystemPackage

/// Gate that every open passes: identify, decide, authenticate, record, reply.
///
/// No worker waits here: a reply that needs the digest of an executable or an entry of the log is parked and given by the
/// thread that computes or writes it, or by that of deadlines.
final class OpenGate: Sendable {
    /// Memory for values that are authenticated on the thread of digests.
    private static let scratchByteCount = 4096

    private let rules: SecretFileSystem
    private let buffers: ReadBuffers
    private let audit: OpenAudit?
    private let identities = IdentityCache()
    private let digests = Mutex<ExecutableDigests?>(nil)
    private let deadlines = Mutex<Deadlines?>(nil)

    init(_ rules: SecretFileSystem, buffers: ReadBuffers, audit: OpenAudit?) {
        self.rules = rules
        self.buffers = buffers
        self.audit = audit
    }

    deinit {
        digests.withLock { $0.take() }?.end()
        deadlines.withLock { $0.take() }?.end()
    }

    /// Answers an open.
    func open(_ inode: InodeNumber, _ flags: OpenFlags, _ context: RequestContext, _ reply: consuming Reply<Opening>) {
        let candidate: SecretFileSystem.Candidate
        do throws(FileSystemError) { candidate = try rules.candidate(inode, flags) } catch {
            return reply.fail(errno(for: error))
        }
        let caller = Subject(context.caller, identities)
        let decision = decide(candidate, caller)
        guard decision == .needsDigest else {
            let buffer = buffers.buffer(of: context.worker)
            return grant(candidate, caller, decision, scratch: &buffer.scratch, reply)
        }
        decideLater(candidate, caller, reply) { decision, reply in
            do {
                var scratch = try SecureBuffer(count: Self.scratchByteCount)
                self.grant(candidate, caller, decision, scratch: &scratch, reply)
            } catch { reply.fail(.ioError) }
        }
    }

    /// Answers a lookup: a hidden name is there for those only who may open it.
    func lookup(
        _ name: Span<UInt8>,
        in directory: InodeNumber,
        _ context: RequestContext,
        _ reply: consuming Reply<Entry>
    ) {
        let candidate: SecretFileSystem.Candidate
        do throws(FileSystemError) { candidate = try rules.find(name, in: directory) } catch {
            return reply.fail(errno(for: error))
        }
        guard candidate.isHidden else { return reply.entry(rules.attributes(of: candidate)) }
        let caller = Subject(context.caller, identities)
        let decision = decide(candidate, caller)
        guard decision == .needsDigest else { return show(candidate, caller, decision, reply) }
        decideLater(candidate, caller, reply) { decision, reply in
            self.show(candidate, caller, decision, reply)
        }
    }

    /// Decides once the digest of the caller's executable is known, or its time is over; the request waits meanwhile.
    private func decideLater<Answer>(
        _ candidate: SecretFileSystem.Candidate,
        _ caller: Subject,
        _ reply: consuming Reply<Answer>,
        answer: @escaping @Sendable (OpenDecision, consuming Reply<Answer>) -> Void
    ) {
        let waiting = ParkedBox(reply.park())
        let done = { @Sendable (digest: ExecutableDigest) in
            guard let reply = waiting.resume() else { return }
            answer(self.decide(candidate, caller, digest), reply)
        }
        limit(waiting) { _ in done(.unavailable) }
        compute(caller, done: done)
    }

    /// Sets an end to the waiting of a request; without a thread for that it fails at once.
    ///
    /// - Parameters:
    ///   - waiting: the request.
    ///   - expired: is told why there is no thread; nil once the time is over.
    private func limit<Answer>(_ waiting: ParkedBox<Answer>, expired: @escaping @Sendable (Errno?) -> Void) {
        do throws(Errno) {
            let deadlines = try deadlines.withLock { (deadlines) throws(Errno) in
                if let deadlines { return deadlines }
                let new = try Deadlines()
                deadlines = new
                return new
            }
            waiting.limit { expired(nil) }
            deadlines.add(waiting)
        } catch { expired(error) }
    }

    private func decide(
        _ candidate: SecretFileSystem.Candidate,
        _ caller: Subject,
        _ digest: ExecutableDigest = .unknown
    ) -> OpenDecision {
        rules.decide(on: candidate, caller: caller.caller, identity: { caller.identity }, digest: digest)
    }

    /// Calls `done` with the digest of a caller's executable, at once where it is known.
    private func compute(_ caller: Subject, done: @escaping @Sendable (ExecutableDigest) -> Void) {
        let digests = digests.withLock { digests in
            if digests == nil { digests = try? ExecutableDigests() }
            return digests
        }
        guard let digests, let executable = caller.identity.executable else { return done(.unavailable) }
        let known = digests.digest(of: caller.caller.thread, executable, done: done)
        if known != .unknown { done(known) }
    }

    private func show(
        _ candidate: SecretFileSystem.Candidate,
        _ caller: Subject,
        _ decision: OpenDecision,
        _ reply: consuming Reply<Entry>
    ) {
        let attributes = rules.attributes(of: candidate)
        switch decision {
        case .allow, .observed: reply.entry(attributes, isCached: false)
        case .refuse(let refusal):
            record(candidate, caller, .denied(refusal, .hidden), reply) { reply, _ in
                reply.fail(.noSuchFileOrDirectory)
            }
        case .hide, .needsDigest: reply.fail(.noSuchFileOrDirectory)
        }
    }

    private func grant(
        _ candidate: SecretFileSystem.Candidate,
        _ caller: Subject,
        _ decision: OpenDecision,
        scratch: inout SecureBuffer,
        _ reply: consuming Reply<Opening>
    ) {
        switch decision {
        case .allow, .observed:
            do throws(FileSystemError) {
                let isCounted = decision == .allow
                var (secret, observed) = try rules.open(candidate, isCounted: isCounted, scratch: &scratch)
                if case .observed(let refusal) = decision { observed = refusal }
                let file = OpenSecretFile(secret, buffers: buffers, counts: rules.counts)
                let counts = rules.counts
                record(candidate, caller, observed.map { .wouldDeny($0) } ?? .opened, reply) { reply, isAdmitted in
                    if isAdmitted { counts.grant() } else { counts.fail() }
                    if isAdmitted { reply.opened(file) } else { reply.fail(.ioError) }
                }
            } catch {
                guard error == .spent else { return fail(candidate, caller, error, reply) }
                refuse(candidate, caller, PolicyRefusal(.maxReads), reply)
            }
        case .refuse(let refusal): refuse(candidate, caller, refusal, reply)
        case .hide: fail(candidate, caller, .noSuchName, reply)
        case .needsDigest: fail(candidate, caller, .refused, reply)
        }
    }

    private func refuse(
        _ candidate: SecretFileSystem.Candidate,
        _ caller: Subject,
        _ refusal: PolicyRefusal?,
        _ reply: consuming Reply<Opening>
    ) {
        rules.counts.deny()
        let policy = candidate.record.policy?.rules
        if policy?.placeholder == true {
            let file = PlaceholderFile(candidate.name, buffers: buffers) { candidate.makePlaceholderHandle() }
            return record(candidate, caller, .denied(refusal, .placeholder), reply) { reply, _ in reply.opened(file) }
        }
        let isHidden = policy?.hidden == true
        record(candidate, caller, .denied(refusal, isHidden ? .hidden : .error), reply) { reply, _ in
            reply.fail(isHidden ? .noSuchFileOrDirectory : .permissionDenied)
        }
    }

    private func fail(
        _ candidate: SecretFileSystem.Candidate,
        _ caller: Subject,
        _ error: FileSystemError,
        _ reply: consuming Reply<Opening>
    ) {
        rules.counts.fail()
        record(candidate, caller, .failed(error), reply) { reply, _ in reply.fail(errno(for: error)) }
    }

    /// Answers when the outcome is in the log, on the thread of its writer, or at once where there is none; `answer` gets
    /// the reply, and whether an open may be granted.
    private func record<Answer>(
        _ candidate: SecretFileSystem.Candidate,
        _ caller: Subject,
        _ outcome: OpenAudit.Outcome,
        _ reply: consuming Reply<Answer>,
        answer: @escaping @Sendable (consuming Reply<Answer>, Bool) -> Void
    ) {
        let alerts = rules.monitor.note(
            candidate.name,
            { caller.identity },
            outcome,
            isDecoy: candidate.isDecoy,
            after: .now - caller.start
        )
        guard let audit else { return answer(reply, true) }
        var reply: Reply<Answer>? = consume reply
        let isAtOnce = audit.record(
            candidate.name,
            candidate.parts,
            of: candidate.generation,
            caller.caller,
            caller.identity,
            outcome,
            alerts
        ) {
            let waiting = ParkedBox(reply.take()?.park())
            let answer = { @Sendable (isAdmitted: Bool) in
                guard let reply = waiting.resume() else { return }
                answer(reply, isAdmitted)
            }
            limit(waiting) { error in
                answer(audit.isAdmittedUnrecorded(error.map { .unwatched($0.message) } ?? .overdue))
            }
            return answer
        }
        guard isAtOnce, let reply = reply.take() else { return }
        answer(reply, true)
    }
}

/// Caller whose identity is looked up once, where it is needed, while its request is unanswered.
private final class Subject: Sendable {
    let caller: Caller
    let start = ContinuousClock.now
    private let identities: IdentityCache
    private let found = Mutex<ProcessIdentity?>(nil)

    init(_ caller: Caller, _ identities: IdentityCache) {
        self.caller = caller
        self.identities = identities
    }

    var identity: ProcessIdentity {
        found.withLock { found in
            if let found { return found }
            let identity = identities.identity(of: caller.thread)
            found = identity
            return identity
        }
    }
}

/// Parked reply for closures of which one is called first.
private final class ParkedBox<Answer>: DelayedRequest {
    private let parked: Mutex<ParkedReply<Answer>?>
    private let expired = Mutex<(@Sendable () -> Void)?>(nil)
    private let answered = Atomic<Bool>(false)

    init(_ parked: consuming ParkedReply<Answer>?) {
        self.parked = Mutex(parked)
    }

    func resume() -> Reply<Answer>? {
        answered.store(true, ordering: .releasing)
        // What it holds would hold this box.
        expired.withLock { $0 = nil }
        let parked = parked.withLock { $0.take() }
        return parked?.resume()
    }

    func limit(_ expired: @escaping @Sendable () -> Void) { self.expired.withLock { $0 = expired } }

    var isAnswered: Bool { answered.load(ordering: .acquiring) }

    func expire() {
        let expired = expired.withLock { $0.take() }
        expired?()
    }
}
