// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

extension RunTests {
    /// Mounts that another server takes over (`mount --keeper`).
    @Suite(.timeLimit(.minutes(20)), .enabled(if: canResend, "takes Linux 6.9")) struct Keeper {
        @Test func aKilledServerIsFollowedByAnotherWithoutAnErrorForReaders() async throws {
            let box = try await JobBox(["A": "first", "B": "second"])
            let directory = try box.makeDirectory("place")
            let mount = try await box.mount("--keeper", directory)
            let readers = try Readers(of: directory, expecting: ["A": "first", "B": "second"])
            try await readers.haveRead(1000)
            kill(mount.process, SIGKILL)
            try await Eventually.holds("the keeper that waits") {
                try await box.credfs("status").outputText.hasPrefix("waiting  mount")
            }
            let next = try await box.mount("--keeper", directory)
            #expect(next.process != mount.process)
            try await readers.haveRead(1000)
            // Upgraded: the other one lives, and is asked to go.
            let third = try await box.mount("--keeper", directory)
            #expect(third.process != next.process)
            try await Eventually.holds("its end") { !ProcessState.isAlive(next.process) }
            try await readers.haveRead(1000)
            #expect(try await readers.end() == [])
            let log = try await box.credfs("audit", "show").outputText
            #expect(log.contains("another server has taken over"), "\(log)")
            #expect(try await box.credfs("audit", "verify").status == .exited(0))
            try await box.unmountAll()
        }

        @Test func aDescriptorFromBeforeReadsOn() async throws {
            let box = try await JobBox(["T": "value", "CHANGED": "old"])
            let directory = try box.makeDirectory("place")
            let mount = try await box.mount("--keeper", directory)
            let (same, changed) = unsafe (open("\(directory)/T", O_RDONLY), open("\(directory)/CHANGED", O_RDONLY))
            let listing = unsafe open(directory, O_RDONLY | O_DIRECTORY)
            defer { for number in [same, changed, listing] { close(number) } }
            #expect(read(same) == "value" && read(changed) == "old")
            let inode = try number(of: "\(directory)/T")
            kill(mount.process, SIGKILL)
            try await box.sandbox.succeed("set", "CHANGED", input: Array("new".utf8))
            try await box.sandbox.succeed("set", "AAA", input: Array("a".utf8))
            _ = try await box.mount("--keeper", directory)
            #expect(read(same) == "value")
            // It shows another value by now.
            #expect(read(changed) == nil && errno == ESTALE)
            #expect(try number(of: "\(directory)/T") == inode)
            #expect(try Files.read("\(directory)/CHANGED") == Array("new".utf8))
            #expect(try Files.read("\(directory)/AAA") == Array("a".utf8))
            #expect(unsafe fdopendir(dup(listing)).map { stream in unsafe closedir(stream) } == 0)
            // Closed and opened again by the new server, over and over.
            for _ in 0..<100 { #expect(try Files.read("\(directory)/T") == Array("value".utf8)) }
            try await box.unmountAll()
            #expect(read(same) == nil && errno == ENOTCONN)
        }

        /// The kernel sends what the server had taken and not answered once more.
        @Test func aRequestInFlightIsAnsweredByTheNextServer() async throws {
            let box = try await JobBox(["T": "t"])
            let directory = try box.makeDirectory("place")
            let mount = try await box.mount("--keeper", "--audit", "required", directory)
            // An open waits for its entry in the log.
            let log = unsafe open(box.sandbox.path("state/audit.lock"), O_RDONLY)
            defer { close(log) }
            #expect(flock(log, LOCK_EX) == 0)
            let reader = try ChildProcess.Running("/bin/cat", ["\(directory)/T"])
            // It waits for the server, which has taken the request a moment later and parks it for 250 ms.
            try await Eventually.holds("the reader that waits") {
                let place = String(decoding: try Files.read("/proc/\(reader.id)/wchan"), as: UTF8.self)
                return place.contains("request_wait_answer") || place.contains("fuse")
            }
            usleep(50000)
            kill(mount.process, SIGKILL)
            try await Eventually.holds("its end") { !ProcessState.isAlive(mount.process) }
            #expect(flock(log, LOCK_UN) == 0)
            _ = try await box.mount("--keeper", "--audit", "required", directory)
            let outcome = try await reader.end()
            #expect(outcome.outputText == "t", "\(outcome.errorText)")
            try await box.unmountAll()
        }

        @Test func aMountThatWaitsCanBeUnmounted() async throws {
            let box = try await JobBox(["T": "t"])
            let directory = try box.makeDirectory("place")
            let mount = try await box.mount("--keeper", directory)
            let file = unsafe open("\(directory)/T", O_RDONLY)
            defer { close(file) }
            kill(mount.process, SIGKILL)
            try await Eventually.holds("the keeper that waits") {
                try await box.credfs("status", "--json").outputText.contains("\"state\" : \"waiting\"")
            }
            try await box.credfs("reload").expectRefusal(19, "no server", hint: "mount --keeper")
            try await box.credfs("mount", directory).expectRefusal(10, "is mounted already")
            #expect(try await box.credfs("unmount", directory).status == .exited(0))
            #expect(read(file) == nil)
            try box.expectNothingLeft()
        }

        @Test func onlyAServerWithTheKeyOfTheStoreTakesOver() async throws {
            let box = try await JobBox(["T": "t"])
            let other = try await Sandbox(["T": "other"])
            let directory = try box.makeDirectory("place")
            let mount = try await box.mount("--keeper", directory)
            let refused = try await box.credfs("mount", "--keeper", "--store", other.store, directory)
            refused.expectRefusal(19, "does not hand it over to this store", hint: "unmount")
            #expect(try Files.read("\(directory)/T") == Array("t".utf8))
            #expect(ProcessState.isAlive(mount.process))
            kill(mount.process, SIGKILL)
            try await Eventually.holds("the keeper that waits") {
                try await box.credfs("status").outputText.hasPrefix("waiting")
            }
            let late = try await box.credfs("mount", "--keeper", "--store", other.store, directory)
            late.expectRefusal(19, "does not hand it over to this store")
            try await box.credfs("mount", "--keeper", "--allow-other", directory).expectRefusal(
                19,
                "without --allow-other"
            )
            // Nothing is lost by it, nor by options that cannot be meant while a server lives.
            _ = try await box.mount("--keeper", directory)
            #expect(try Files.read("\(directory)/T") == Array("t".utf8))
            let live = try await box.server(of: directory)
            try await box.credfs("mount", "--keeper", "--allow-other", directory).expectRefusal(
                19,
                "without --allow-other"
            )
            #expect(try await box.server(of: directory) == live && ProcessState.isAlive(live))
            try await box.credfs("mount", "--keeper", "--no-store").expectRefusal(64, "--keeper needs a store")
            try await box.unmountAll()
        }

        /// It is left to the one that comes next.
        @Test func aServerThatCannotServeLosesNoMount() async throws {
            let box = try await JobBox(["T": "t"])
            let directory = try box.makeDirectory("place")
            _ = try await box.mount("--keeper", directory)
            let failed = try await box.credfs(
                "mount",
                "--keeper",
                directory,
                adding: ["CREDFS_AUDIT": "required", "CREDFS_STATE": "/proc/none"]
            )
            #expect(failed.status != .exited(0))
            try await Eventually.holds("the keeper that waits") {
                try await box.credfs("status").outputText.hasPrefix("waiting")
            }
            _ = try await box.mount("--keeper", directory)
            #expect(try Files.read("\(directory)/T") == Array("t".utf8))
            try await box.unmountAll()
        }

        /// Whoever calls finds what is mounted at the directory, or a new mount.
        @Test func aMountThatIsDetachedIsNotTakenOver() async throws {
            let box = try await JobBox(["T": "t"])
            let directory = try box.makeDirectory("place")
            let mount = try await box.mount("--keeper", directory)
            let file = unsafe open("\(directory)/T", O_RDONLY)
            defer { close(file) }
            unsafe #expect(umount2(directory, Int32(MNT_DETACH)) == 0)
            let next = try await box.mount("--keeper", directory)
            #expect(next.process != mount.process)
            #expect(try Files.read("\(directory)/T") == Array("t".utf8))
            try await box.unmountAll()
        }

        /// Without it the mount is one that ends with its server.
        @Test func aKilledKeeperIsNoticed() async throws {
            let box = try await JobBox(["T": "t"])
            let directory = try box.makeDirectory("place")
            let mount = try await box.mount("--keeper", directory)
            let children = String(
                decoding: try Files.read("/proc/\(mount.process)/task/\(mount.process)/children"),
                as: UTF8.self
            )
            let keeper = try #require(
                children.split(separator: " ").compactMap { Int32($0) }.first {
                    String(decoding: (try? Files.read("/proc/\($0)/cmdline")) ?? [], as: UTF8.self).contains(
                        "hold-mount"
                    )
                }
            )
            kill(keeper, SIGKILL)
            try await Eventually.holds("a mount that nobody can take over") {
                try await box.credfs("mount", "--keeper", directory).errorText.contains("is mounted already")
            }
            #expect(try Files.read("\(directory)/T") == Array("t".utf8))
            try await box.unmountAll()
        }

        /// A rotated store has another key, and its mount is taken over with that one.
        @Test func theKeyToTakeOverIsTheOneThatIsServed() async throws {
            let box = try await JobBox(["T": "t"])
            let directory = try box.makeDirectory("place")
            let mount = try await box.mount("--keeper", directory)
            try await box.sandbox.succeed("rotate")
            #expect(try await box.credfs("reload").status == .exited(0))
            kill(mount.process, SIGKILL)
            _ = try await box.mount("--keeper", directory)
            #expect(try Files.read("\(directory)/T") == Array("t".utf8))
            try await box.unmountAll()
        }

        @Test func aCountOfOpensGoesOn() async throws {
            let box = try await JobBox(["T": "t", "ONCE": "once"])
            try await box.sandbox.succeed("policy", "set", "T", "--max-reads", "3")
            try await box.sandbox.succeed("policy", "set", "ONCE", "--max-reads", "1")
            let directory = try box.makeDirectory("place")
            let mount = try await box.mount("--keeper", directory)
            #expect(try Files.read("\(directory)/T") == Array("t".utf8))
            let once = unsafe open("\(directory)/ONCE", O_RDONLY)
            defer { close(once) }
            kill(mount.process, SIGKILL)
            _ = try await box.mount("--keeper", directory)
            #expect(read(once) == "once")
            #expect(throws: (any Error).self) { try Files.read("\(directory)/ONCE") }
            for _ in 0..<2 { #expect(try Files.read("\(directory)/T") == Array("t".utf8)) }
            #expect(throws: (any Error).self) { try Files.read("\(directory)/T") }
            _ = try await box.mount("--keeper", directory)
            #expect(throws: (any Error).self) { try Files.read("\(directory)/T") }
            try await box.unmountAll()
        }

        @Test func aPlaceholderStaysOne() async throws {
            let box = try await JobBox(["T": "the value"])
            try await box.sandbox.succeed("policy", "set", "T", "--allow-exe", "/bin/cat", "--placeholder")
            let directory = try box.makeDirectory("place")
            let mount = try await box.mount("--keeper", directory)
            let file = unsafe open("\(directory)/T", O_RDONLY)
            defer { close(file) }
            #expect(read(file) == "credfs-placeholder:T")
            kill(mount.process, SIGKILL)
            _ = try await box.mount("--keeper", directory)
            #expect(read(file) == "credfs-placeholder:T")
            try await box.unmountAll()
        }

        @Test func aLockedMountComesBackLockedAndWhatWasOpenStaysRefused() async throws {
            let box = try await JobBox(["T": "t"])
            let directory = try box.makeDirectory("place")
            let mount = try await box.mount("--keeper", directory)
            let file = unsafe open("\(directory)/T", O_RDONLY)
            defer { close(file) }
            #expect(try await box.credfs("lock").status == .exited(0))
            kill(mount.process, SIGKILL)
            _ = try await box.mount("--keeper", directory)
            #expect(throws: (any Error).self) { try Files.read("\(directory)/T") }
            #expect(try await box.credfs("status").outputText.contains("  locked"))
            #expect(read(file) == nil)
            #expect(try await box.credfs("unlock").status == .exited(0))
            #expect(try Files.read("\(directory)/T") == Array("t".utf8))
            #expect(read(file) == nil)
            // Also after another server that never saw the lock.
            _ = try await box.mount("--keeper", directory)
            #expect(read(file) == nil && errno == ESTALE)
            #expect(try Files.read("\(directory)/T") == Array("t".utf8))
            try await box.unmountAll()
        }

        /// What a service manager starts again after a signal is upgraded by it.
        @Test func aServerGoesFirstWhereItIsAskedTo() async throws {
            let box = try await JobBox(["T": "t"])
            let directory = try box.makeDirectory("place")
            let mount = try await box.mount("--keeper", directory)
            kill(mount.process, SIGUSR2)
            try await Eventually.holds("its end") { !ProcessState.isAlive(mount.process) }
            #expect(try isMounted(directory))
            let reader = try ChildProcess.Running("/bin/cat", ["\(directory)/T"])
            let next = try ChildProcess.Running(
                CommandTests.credfs,
                ["mount", "--keeper", "--foreground", directory],
                environment: box.environment
            )
            #expect(try await reader.end().outputText == "t")
            kill(next.id, SIGUSR2)
            // So that a service manager starts the next one.
            #expect(try await next.end().status == .exited(140))
            #expect(try await box.credfs("audit", "show").outputText.contains("left to the next server"))
            _ = try await box.mount("--keeper", directory)
            #expect(try Files.read("\(directory)/T") == Array("t".utf8))
            try await box.expectAudited("left to the next server")
            // One that is not kept has nobody to be left to, and serves on.
            try await box.unmountAll()
            let plain = try await box.mount(directory)
            kill(plain.process, SIGUSR2)
            #expect(try Files.read("\(directory)/T") == Array("t".utf8))
            #expect(ProcessState.isAlive(plain.process))
            try await box.unmountAll()
        }

        /// The first server of a mount may belong to a user who cannot mount.
        @Test func anOrdinaryUserTakesOver() async throws {
            let user = try await UserBox(["T": "t"])
            let directory = user.home + "/place"
            #expect(try await user.runAsUser(["mkdir", directory]).status == .exited(0))
            let first = try await user.run([], ["mount", "--keeper", directory])
            #expect(first.status == .exited(0), "\(first.errorText)")
            let status = try await user.run([], ["status"]).outputText
            let process = try #require(status.firstMatch(of: /pid ([0-9]+)/).flatMap { Int32($0.1) })
            kill(process, SIGKILL)
            let next = try await user.run([], ["mount", "--keeper", directory])
            #expect(next.status == .exited(0), "\(next.errorText)")
            #expect(try await user.runAsUser(["cat", "\(directory)/T"]).outputText == "t")
            #expect(try await user.run([], ["unmount", directory]).status == .exited(0))
            try user.expectNothingLeft()
        }

        private func read(_ file: Int32) -> String? {
            var bytes = [UInt8](repeating: 0, count: 64)
            let count = unsafe pread(file, &bytes, bytes.count, 0)
            return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
        }

        private func number(of path: String) throws -> Int {
            try #require(try FileManager.default.attributesOfItem(atPath: path)[.systemFileNumber] as? Int)
        }

        private func isMounted(_ path: String) throws -> Bool {
            String(decoding: try Files.read("/proc/self/mountinfo"), as: UTF8.self).contains(" \(path) ")
        }
    }
}

/// FUSE_NOTIFY_RESEND.
let canResend: Bool = {
    var name = utsname()
    guard unsafe uname(&name) == 0 else { return false }
    let release = unsafe withUnsafeBytes(of: &name.release) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    let numbers = release.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
    return isRoot && numbers.count == 2 && (numbers[0], numbers[1]) >= (6, 9)
}()

/// Threads that open and read secrets over and over.
private final class Readers {
    private let scratch: TemporaryDirectory
    private let process: ChildProcess.Running

    init(of directory: String, expecting values: [String: String]) throws {
        scratch = try TemporaryDirectory()
        let (stop, count) = (scratch.path("stop"), scratch.path("count"))
        let expected = values.map { "'\($0.key)': b'\($0.value)'" }.joined(separator: ", ")
        let program = """
            import os, threading
            values, done, failures = {\(expected)}, [0] * 64, []
            def read(index):
                names = sorted(values)
                while not os.path.exists('\(stop)'):
                    name = names[index % len(names)]
                    try:
                        with open('\(directory)/' + name, 'rb') as file:
                            value = file.read()
                        if value != values[name]: failures.append(name + ': ' + repr(value))
                    except OSError as error: failures.append(str(error))
                    done[index] += 1
                    if index == 0:
                        with open('\(count).new', 'w') as file: file.write('%d\\n' % sum(done))
                        os.rename('\(count).new', '\(count)')
            threads = [threading.Thread(target=read, args=(index,)) for index in range(64)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            print('\\n'.join(failures[:20]), end='')
            """
        process = try ChildProcess.Running("/usr/bin/python3", ["-c", program])
    }

    /// Waits until so many more opens are done.
    func haveRead(_ more: Int) async throws {
        let before = try await readCount()
        try await Eventually.holds("more reads") { try await readCount() >= before + more }
    }

    private func readCount() async throws -> Int { Int(try await Eventually.text(of: scratch.path("count"))) ?? 0 }

    /// Ends them.
    ///
    /// - Returns: what failed.
    func end() async throws -> [String] {
        try scratch.write([], to: "stop")
        let outcome = try await process.end()
        return (outcome.outputText + outcome.errorText).split(separator: "\n").map(String.init)
    }
}
