// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Glibc
import ProcessControl
import Synchronization
import SystemCalls
import SystemPackage
import Testing

/// What a server that serves mounts is asked, and by whom it is let.
@Suite(.timeLimit(.minutes(5))) struct ControlTests {
    /// A directory with a socket of the name "socket" and a server that counts.
    fileprivate final class Fixture: Sendable {
        let temporary: TemporaryDirectory
        let directory: OwnedDescriptor
        let requests = Mutex<[ControlRequest]>([])
        let server = Mutex<ControlServer?>(nil)

        init(
            refusing refusal: @escaping @Sendable () -> ControlAnswer.Failure? = { nil },
            answer: @escaping @Sendable (ControlRequest, ReceivedDescriptor?) -> ControlAnswer = { _, _ in
                ControlAnswer(counts: ["generation": 7])
            }
        ) throws {
            temporary = try TemporaryDirectory()
            directory = try OwnedDescriptor.open(temporary.path, O_RDONLY | O_DIRECTORY)
            let socket = try ListeningSocket(named: "socket", in: directory)
            let server = try ControlServer(
                socket,
                refusal: { peer in
                    peer.user == geteuid() && peer.process > 0 ? refusal() : .init(status: 1, message: "")
                },
                answer: { [weak self] (request, descriptor) in
                    self?.requests.withLock { $0.append(request) }
                    return answer(request, descriptor)
                }
            )
            try server.start()
            self.server.withLock { $0 = server }
        }

        deinit { end() }

        func end() { server.withLock { $0.take() }?.end() }

        func ask(_ action: ControlRequest.Action = .reload, within time: Duration = .seconds(20)) throws
            -> ControlAnswer
        {
            try ControlClient.ask(ControlRequest(action), of: "socket", in: directory, user: geteuid(), within: time)
        }

        func connect() throws -> MessageSocket { try MessageSocket.connect(to: "socket", in: directory) }
    }

    @Test func requestsAndAnswersComeBack() throws {
        for action in ControlRequest.Action.allCases {
            let request = ControlRequest(action)
            #expect(ControlRequest(request.text.utf8.span) == request)
        }
        let refresh = ControlRequest(.refresh, names: ["A", "B C"])
        #expect(ControlRequest(refresh.text.utf8.span) == refresh)
        let answers = [
            ControlAnswer(), ControlAnswer(counts: ["generation": .max, "opens": 0]),
            ControlAnswer(.init(status: 17, message: "bad \"name\"\n", hint: nil)),
            ControlAnswer(.init(status: 14, message: "m", hint: "chmod")),
        ]
        for answer in answers { #expect(ControlAnswer(answer.text.utf8.span) == answer) }
        let long = ControlAnswer(.init(status: 1, message: String(repeating: "\u{1}", count: 9000), hint: nil))
        #expect(long.text.utf8.count <= ControlRequest.longestByteCount)
        #expect(ControlAnswer(long.text.utf8.span)?.failure?.message.hasSuffix("...") == true)
    }

    @Test(arguments: [
        "", "{}", "reload", "{\"request\":\"reload\"", "{\"request\":\"Reload\"}", "{\"request\":1}", "[\"reload\"]",
        "{\"request\":\"reload\",\"request\":\"status\"}", "{\"request\":\"reload\",\"key\":\"x\"}",
        "{\"request\":\"reload\",\"names\":\"A\"}", "{\"request\":\"refresh\",\"names\":\"\"}",
        "{\"request\":\"refresh\",\"names\":7}", "{\"request\":{\"request\":\"reload\"}}",
        "\u{feff}{\"request\":\"reload\"}", "{\"request\":\"reload\"}x",
    ])
    func anythingElseIsNoRequest(_ text: String) {
        #expect(ControlRequest(text.utf8.span) == nil)
        #expect(ControlRequest((text + String(repeating: " ", count: 4096)).utf8.span) == nil)
    }

    @Test func aRequestIsAnsweredAndItsDescriptorClosed() throws {
        let fixture = try Fixture()
        let before = try openDescriptors()
        for _ in 0..<20 { #expect(try fixture.ask().counts == ["generation": 7]) }
        #expect(fixture.requests.withLock { $0.count } == 20)
        let file = try OwnedDescriptor.open("/dev/null", O_RDONLY)
        for _ in 0..<200 {
            let client = try fixture.connect(patiently: true)
            try client.send(Array(ControlRequest(.reload).text.utf8), descriptor: file.number)
            let bytes = try received(by: client)
            #expect(bytes == Array("{\"generation\":7}".utf8))
        }
        _ = consume file
        // Other tests open some, too.
        #expect(try openDescriptors() < before + 100)
    }

    /// The kernel would put as many into the server as there is room for.
    @Test func moreDescriptorsThanOneAreNotTaken() async throws {
        let fixture = try Fixture()
        let before = try openDescriptors()
        let program = """
            import array, os, socket, sys
            for _ in range(50):
                client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                client.connect(sys.argv[1])
                files = array.array("i", [0, 1, 2])
                client.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
                client.recv(4096)
            """
        let outcome = try await ChildProcess.run(
            "/usr/bin/env",
            ["python3", "-I", "-c", program, fixture.temporary.path("socket")]
        )
        #expect(outcome.status == .exited(0), "\(outcome.errorText)")
        #expect(try openDescriptors() < before + 75)
    }

    @Test func whoIsRefusedIsToldSoAndAsksForNothing() throws {
        let fixture = try Fixture(refusing: { .init(status: 21, message: "not you", hint: "ask another") })
        let client = try fixture.connect()
        try client.send([0])
        let bytes = try received(by: client)
        #expect(ControlAnswer(bytes.span)?.failure == .init(status: 21, message: "not you", hint: "ask another"))
        #expect(fixture.requests.withLock { $0.isEmpty })
    }

    @Test func silentAndBabblingClientsKeepNobodyWaiting() throws {
        let fixture = try Fixture()
        // One after the other they would have more time than the answer may take.
        let silent = try (0..<40).map { _ in Silent(try fixture.connect(patiently: true)) }
        #expect(try fixture.ask().failure == nil)
        #expect(silent.count == 40)
        // 1 MiB of nonsense, in messages as long as they may be, and one longer than may be.
        let nonsense = [UInt8](repeating: 0x7b, count: MessageSocket.longestMessage)
        for _ in 0..<(1 << 20) / nonsense.count {
            let client = try fixture.connect(patiently: true)
            try? client.send(nonsense)
            let bytes = try received(by: client)
            #expect(ControlAnswer(bytes.span)?.failure?.status == 64)
        }
        // Gone before it asks, and before it hears the answer.
        for _ in 0..<20 {
            _ = try fixture.connect(patiently: true)
            try fixture.connect(patiently: true).send(Array(ControlRequest(.status).text.utf8))
        }
        #expect(try fixture.ask().failure == nil)
    }

    /// A job may ask for nothing, and may hold up nobody either.
    @Test func whoIsRefusedDisplacesNobody() throws {
        let isRefused = Atomic<Bool>(false)
        let fixture = try Fixture(refusing: {
            isRefused.load(ordering: .relaxed) ? .init(status: 21, message: "no") : nil
        })
        let early = Silent(try fixture.connect())
        #expect(try fixture.ask().failure == nil)
        isRefused.store(true, ordering: .relaxed)
        let flood = try (0..<100).map { _ in Silent(try fixture.connect(patiently: true)) }
        let last = Silent(try fixture.connect(patiently: true))
        try last.socket.send([0])
        let refused = try received(by: last.socket)
        #expect(ControlAnswer(refused.span)?.failure?.status == 21)
        try early.socket.send(Array(ControlRequest(.reload).text.utf8))
        let answered = try received(by: early.socket)
        #expect(ControlAnswer(answered.span)?.counts == ["generation": 7])
        #expect(flood.count == 100)
    }

    private final class Silent {
        let socket: MessageSocket

        init(_ socket: consuming MessageSocket) { self.socket = socket }
    }

    @Test func itEndsWhileAClientSaysNothing() throws {
        let fixture = try Fixture()
        let silent = try fixture.connect()
        usleep(50_000)
        let started = ContinuousClock.now
        fixture.end()
        #expect(ContinuousClock.now - started < .seconds(1))
        _ = consume silent
    }

    @Test func aNameThatIsTakenIsNotTakenOver() throws {
        let temporary = try TemporaryDirectory()
        let directory = try OwnedDescriptor.open(temporary.path, O_RDONLY | O_DIRECTORY)
        try temporary.write([1], to: "file")
        try #require(unsafe symlink(temporary.path("elsewhere"), temporary.path("link")) == 0)
        for name in ["file", "link"] {
            #expect(throws: Errno.addressInUse) { _ = try ListeningSocket(named: name, in: directory) }
        }
        #expect(throws: Errno.noSuchFileOrDirectory) { _ = try directory.openEntry("elsewhere") }
        let socket = try ListeningSocket(named: "socket", in: directory)
        #expect(try directory.openEntry("socket").status().permissions == 0o600)
        #expect(throws: Errno.addressInUse) { _ = try ListeningSocket(named: "socket", in: directory) }
        _ = consume socket
    }

    @Test func whoeverElseListensIsNotBelieved() throws {
        let fixture = try Fixture()
        // Root is believed by everybody.
        guard geteuid() != 0 else { return }
        #expect(throws: Errno.notPermitted) {
            _ = try ControlClient.ask(ControlRequest(.status), of: "socket", in: fixture.directory, user: geteuid() + 1)
        }
    }

    @Test func aMailboxHandsOverOneRequestAndItsAnswer() throws {
        let box = try ControlMailbox()
        let answer = Mutex(ControlAnswer())
        // A task could not start while other tests block the threads of the pool.
        let asking = try OwnThread {
            let answered = box.ask(ControlRequest(.reload), nil)
            answer.withLock { $0 = answered }
        }
        #expect(try Readiness.wait(for: [box.notice], timeout: .seconds(20)) == [true])
        #expect(box.take()?.request == ControlRequest(.reload))
        #expect(box.take() == nil)
        box.answer(ControlAnswer(counts: ["generation": 3]))
        asking.join()
        #expect(answer.withLock { $0.counts } == ["generation": 3])
        box.close()
        #expect(box.ask(ControlRequest(.reload), nil).failure?.status == 10)
    }

    /// The bytes of the next message.
    private func received(by client: borrowing MessageSocket) throws -> [UInt8] {
        try #require(try Readiness.wait(for: [client.descriptor.number], timeout: .seconds(20)) == [true])
        let message = try client.receive()
        return message.bytes
    }

    private func openDescriptors() throws -> Int {
        try OwnedDescriptor.open("/proc/self/fd", O_RDONLY | O_DIRECTORY).entryNames().count
    }
}

extension ControlTests.Fixture {
    /// Connects, and waits where too many wait already.
    fileprivate func connect(patiently: Bool) throws -> MessageSocket {
        while true {
            do { return try connect() } catch Errno.wouldBlock { usleep(2000) }
        }
    }
}
