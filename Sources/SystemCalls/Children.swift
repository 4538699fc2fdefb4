// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// The processes that this one has to wait for: those it started and the orphans it adopted.
package enum Children {
    /// Change of the state of a child.
    package enum Change: Sendable, Equatable {
        /// It ended.
        case ended(Int32, ChildProcess.Exit)
        /// A signal has stopped it.
        case stopped(Int32)
    }

    /// Answer to a poll of the children.
    package enum News: Sendable, Equatable {
        /// Something happened to one.
        case change(Change)
        /// There are some, and nothing happened.
        case nothing
        /// There are none.
        case noneLeft
    }

    /// Asks for the next change; wraps waitpid(2), which is told about stops, too.
    package static func poll() throws(Errno) -> News {
        var status: Int32 = 0
        let id: pid_t
        do throws(Errno) {
            id = try valueOrErrno { unsafe waitpid(-1, &status, WNOHANG | WUNTRACED) }
        } catch {
            if error == .noChildProcess { return .noneLeft }
            throw error
        }
        if id == 0 { return .nothing }
        if status & 0xff == 0x7f { return .change(.stopped(id)) }
        return .change(.ended(id, ChildProcess.Exit(waitStatus: status)))
    }

    /// Waits for the end of one; wraps waitpid(2).
    package static func exit(of process: Int32) throws(Errno) -> ChildProcess.Exit {
        var status: Int32 = 0
        try checkErrno { unsafe waitpid(process, &status, 0) }
        return ChildProcess.Exit(waitStatus: status)
    }

    /// Detects a child that has been stopped since this was asked last; wraps waitid(2), and leaves its end to be
    /// waited for.
    package static func isStopped(_ process: Int32) throws(Errno) -> Bool {
        var info = unsafe siginfo_t()
        do throws(Errno) {
            try checkErrno { unsafe waitid(P_PID, id_t(process), &info, WSTOPPED | WNOHANG) }
        } catch {
            if error == .noChildProcess { return false }
            throw error
        }
        return unsafe info.si_signo == SIGCHLD
    }

    /// The children of this process (proc(5)).
    package static func ids() -> [Int32] {
        guard let tasks = try? OwnedDescriptor.open("/proc/self/task", O_RDONLY | O_DIRECTORY),
            let names = try? tasks.entryNames()
        else { return [] }
        return names.flatMap { name -> [Int32] in
            let text = try? OwnedDescriptor.open("/proc/self/task/\(name)/children", O_RDONLY).readText(limit: 1 << 20)
            return (text ?? "").split(separator: " ").compactMap { Int32($0) }
        }
    }

    /// Sends a signal to a process; wraps kill(2).
    package static func send(_ signal: Int32, to process: Int32) throws(Errno) {
        try checkErrno { kill(process, signal) }
    }

    /// Stops this process with a child that was stopped, and lets the child go on when this one does.
    ///
    /// Not where the child goes on already: whoever continues a process group continues one member after the other.
    package static func stop(with child: Int32) {
        usleep(20_000)
        if ProcessTree.isStopped(child) { stopSelf() }
        try? send(SIGCONT, to: child)
    }

    /// Stops this process until somebody lets it go on.
    package static func stopSelf() {
        raise(SIGSTOP)
    }
}

/// Becoming another program.
package enum Program {
    /// Replaces this process by a program that is looked for in PATH; wraps execvpe(3) and returns only where that fails.
    ///
    /// - Parameters:
    ///   - arguments: its arguments, its name first.
    ///   - environment: its environment, as `NAME=value`, of a credential the name; nil for that of this process.
    ///   - isRefused: the names of variables that it does not get.
    /// - Returns: the error of execve(2).
    package static func exec(
        _ arguments: [[UInt8]],
        environment: [[UInt8]]? = nil,
        without isRefused: ([UInt8]) -> Bool
    ) -> Errno {
        guard let environment else { return execInheriting(arguments, without: isRefused) }
        let entries = environment.filter { !isRefused(Array($0.prefix { $0 != UInt8(ascii: "=") })) }
        return unsafe CStrings.lendEnvironment(entries) { environment in unsafe exec(arguments, environment) }
    }

    private static func execInheriting(_ arguments: [[UInt8]], without isRefused: ([UInt8]) -> Bool) -> Errno {
        var environment = unsafe CStrings.Vector()
        var entry = unsafe credfs_environment()
        while let text = unsafe entry?.pointee {
            // Not copied: an entry can hold a secret that somebody asked to have there.
            let name = unsafe Array(UnsafeRawBufferPointer(start: text, count: strcspn(text, "=")))
            if !isRefused(name) { unsafe environment.append(text) }
            unsafe entry = entry?.advanced(by: 1)
        }
        unsafe environment.append(nil)
        return unsafe exec(arguments, environment)
    }

    private static func exec(_ arguments: [[UInt8]], _ environment: CStrings.Vector) -> Errno {
        unsafe CStrings.lend(arguments) { vector in
            guard let file = unsafe vector[0] else { return .invalidArgument }
            unsafe execvpe(file, vector, environment)
            return Errno(rawValue: errno)
        }
    }
}
