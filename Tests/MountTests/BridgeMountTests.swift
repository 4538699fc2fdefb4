// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import FuseBridge
import Glibc
import SecureMemory
import Synchronization
import SystemPackage
import Testing

extension MountTests {
    @Suite(.serialized) struct Bridging {
        @Test func anUnansweredReplyIsAnError() async throws {
            let mount = try MountFixture(Behaviour(.dropsReplies))
            let outcome = try await mount.shell("cat file")
            #expect(outcome.errorText.contains("Input/output error"))
            #expect(mount.session.counts.failedReplies == 0)
        }

        @Test func anAbandonedParkedReplyIsAnError() async throws {
            let mount = try MountFixture(Behaviour(.abandonsParkedReplies))
            let outcome = try await mount.shell("cat file")
            #expect(outcome.errorText.contains("Input/output error"))
            #expect(mount.session.counts.parkedReplies == 0)
        }

        @Test func aParkedReplyIsAnsweredLater() async throws {
            let mount = try MountFixture(Behaviour(.answersFromAnotherThread))
            #expect(try await mount.shell("cat file").outputText == "content")
            #expect(mount.session.counts.parkedReplies == 0 && mount.session.counts.failedReplies == 0)
        }

        @Test(arguments: [Behaviour.Habit.keepsReplies, .keepsRepliesLate])
        private func anInterruptedReaderIsToldAtOnce(habit: Behaviour.Habit) async throws {
            let mount = try MountFixture(Behaviour(habit))
            let outcome = try await mount.python(
                """
                import ctypes, errno, signal, time
                libc = ctypes.CDLL(None, use_errno=True)
                # A handler in C, so that read(2) returns and its error can be seen.
                handler_type = ctypes.CFUNCTYPE(None, ctypes.c_int)
                nothing = handler_type(lambda number: None)
                libc.signal(signal.SIGALRM, nothing)
                libc.siginterrupt(signal.SIGALRM, 1)
                descriptor = os.open("file", os.O_RDONLY)
                signal.setitimer(signal.ITIMER_REAL, 0.2)
                start = time.monotonic()
                buffer = ctypes.create_string_buffer(10)
                result = libc.read(descriptor, buffer, 10)
                print(result, errno.errorcode[ctypes.get_errno()], time.monotonic() - start < 2)
                """
            )
            #expect(outcome.outputText == "-1 EINTR True\n", "\(outcome.errorText)")
            #expect(mount.session.counts.parkedReplies == 0 && mount.session.counts.failedReplies == 0)
        }

        @Test func aReaderThatWaitsCanBeInterruptedFromTheKeyboardAndKilled() async throws {
            let behaviour = Behaviour(.keepsReplies)
            let mount = try MountFixture(behaviour)
            for signal in [SIGINT, SIGKILL] {
                let reader = try ChildProcess.Running("/bin/cat", [mount.path("file")])
                while mount.session.counts.parkedReplies == 0 { try await Task.sleep(for: .milliseconds(5)) }
                kill(reader.id, signal)
                #expect(try await reader.end().status == .signal(signal))
            }
            #expect(mount.session.counts.parkedReplies == 0)
        }

        @Test func stoppingAnswersWhatIsParked() async throws {
            let mount = try MountFixture(Behaviour(.keepsReplies))
            let reader = try ChildProcess.Running("/bin/cat", [mount.path("file")])
            while mount.session.counts.parkedReplies == 0 { try await Task.sleep(for: .milliseconds(5)) }
            mount.unmount()
            mount.session.stop()
            let outcome = try await reader.end()
            #expect(outcome.errorText.contains("Input/output error"))
            #expect(!mount.session.isServing && mount.session.counts.handles == 0)
        }

        @Test func anAnswerThatOutlivesTheSessionGoesNowhere() async throws {
            let behaviour = Behaviour(.keepsReplies)
            let reader: ChildProcess.Running
            do {
                let mount = try MountFixture(behaviour)
                reader = try ChildProcess.Running("/bin/cat", [mount.path("file")])
                while mount.session.counts.parkedReplies == 0 { try await Task.sleep(for: .milliseconds(5)) }
            }
            behaviour.answerKept()
            #expect(try await reader.end().status == .exited(1))
        }

        @Test func aDescriptorThatIsOpenAtTheEndReadsAnError() async throws {
            var mount: MountFixture? = try MountFixture(Behaviour(.answers))
            let path = try #require(mount?.path("file"))
            let descriptor = unsafe open(path, O_RDONLY)
            defer { close(descriptor) }
            var byte: UInt8 = 0
            #expect(unsafe read(descriptor, &byte, 1) == 1)
            mount?.unmount()
            #expect(unsafe pread(descriptor, &byte, 1, 1) == 1, "a detached mount still serves what is open")
            mount = nil
            // A child that another test starts has the device until its exec; what is asked meanwhile is aborted.
            var count: Int
            repeat { count = unsafe pread(descriptor, &byte, 1, 2) } while count == -1 && errno == ECONNABORTED
            #expect(count == -1 && errno == ENOTCONN)
        }

        @Test func theSessionEndsWhenSomebodyElseUnmounts() async throws {
            let mount = try MountFixture(Behaviour(.answers))
            #expect(try await mount.shell("cat file").outputText == "content")
            #expect(try await ChildProcess.run("/bin/umount", [mount.path]).status == .exited(0))
            mount.session.wait()
            #expect(!mount.session.isServing)
        }

        @Test func anIdleSessionCostsNothing() async throws {
            let mount = try MountFixture(Behaviour(.answers))
            #expect(try await mount.shell("cat file").outputText == "content")
            try await Task.sleep(for: .milliseconds(50))
            let before = mount.session.processorTime
            try await Task.sleep(for: .seconds(1))
            let spent = mount.session.processorTime - before
            #expect(spent < .milliseconds(1), "\(spent)")
        }
    }
}

/// A file system with one file, and habits.
private final class Behaviour: FileSystem {
    enum Habit {
        case answers
        case dropsReplies
        case keepsReplies
        /// After the interrupt of a test has come.
        case keepsRepliesLate
        case abandonsParkedReplies
        case answersFromAnotherThread
    }

    private final class Kept: Sendable {
        let reply: ParkedReply<Bytes>

        init(_ reply: consuming ParkedReply<Bytes>) {
            self.reply = reply
        }
    }

    private static let file = InodeNumber(2)
    private let habit: Habit
    private let kept = Mutex<[Kept]>([])

    init(_ habit: Habit) {
        self.habit = habit
    }

    /// Answers, by ending them, all that were kept.
    func answerKept() {
        kept.withLock { $0 = [] }
    }

    private func attributes(_ inode: InodeNumber) -> FileAttributes {
        FileAttributes(
            inode: inode,
            kind: inode == .root ? .directory : .regular,
            permissions: inode == .root ? 0o500 : 0o400,
            linkCount: 1,
            size: 7,
            user: 0,
            group: 0,
            modified: 0
        )
    }

    func lookup(
        _ name: Span<UInt8>,
        in directory: InodeNumber,
        _ context: RequestContext,
        reply: consuming Reply<Entry>
    ) {
        name.count == 4 ? reply.entry(attributes(Self.file)) : reply.fail(.noSuchFileOrDirectory)
    }

    func getattr(_ inode: InodeNumber, reply: consuming Reply<Attributes>) {
        reply.attributes(attributes(inode))
    }

    func open(_ inode: InodeNumber, _ flags: OpenFlags, _ context: RequestContext, reply: consuming Reply<Opening>) {
        reply.opened(File(self))
    }

    func opendir(_ inode: InodeNumber, reply: consuming Reply<DirectoryOpening>) {
        reply.fail(.notSupported)
    }

    func statfs(reply: consuming Reply<Statistics>) {
        reply.statistics(maximumNameByteCount: 255)
    }

    private final class File: OpenFile {
        private let owner: Behaviour

        init(_ owner: Behaviour) {
            self.owner = owner
        }

        func read(_ range: Range<Int>, worker: WorkerNumber, reply: consuming Reply<Bytes>) {
            switch owner.habit {
            case .answers: File.answer(range, reply)
            case .dropsReplies: break
            case .keepsReplies, .keepsRepliesLate:
                if owner.habit == .keepsRepliesLate { usleep(500_000) }
                let kept = Kept(reply.park())
                owner.kept.withLock { $0.append(kept) }
            case .abandonsParkedReplies: _ = reply.park()
            case .answersFromAnotherThread: Later.answer(range, reply.park())
            }
        }

        static func answer(_ range: Range<Int>, _ reply: consuming Reply<Bytes>) {
            let part = range.clamped(to: 0..<7)
            guard !part.isEmpty, var buffer = try? SecureBuffer(count: part.count) else { return reply.endOfFile() }
            buffer.withMutableBytes { bytes in
                for index in part { bytes[index - part.lowerBound] = Array("content".utf8)[index] }
            }
            reply.bytes(of: buffer)
        }
    }

    /// An answer on a thread of its own.
    private final class Later {
        private let range: Range<Int>
        private var reply: ParkedReply<Bytes>?

        private init(_ range: Range<Int>, _ reply: consuming ParkedReply<Bytes>) {
            self.range = range
            self.reply = consume reply
        }

        static func answer(_ range: Range<Int>, _ reply: consuming ParkedReply<Bytes>) {
            let later = unsafe Unmanaged.passRetained(Later(range, reply)).toOpaque()
            var thread = pthread_t()
            unsafe pthread_create(
                &thread,
                nil,
                { data in
                    guard let data = unsafe data else { return nil }
                    usleep(20000)
                    unsafe Unmanaged<Later>.fromOpaque(data).takeRetainedValue().finish()
                    return nil
                },
                later
            )
            pthread_detach(thread)
        }

        private func finish() {
            guard let parked = reply.take(), let reply = parked.resume() else { return }
            File.answer(range, reply)
        }
    }
}
