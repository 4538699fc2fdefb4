// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// A seccomp filter: the system calls that a process may make from now on (seccomp(2)).
///
/// Compiled to classic BPF. Calls of another architecture kill the process; everything that is not listed fails with EPERM.
package struct SystemCallFilter: Sendable {
    /// A call that is allowed where its arguments hold.
    package struct Rule: Sendable {
        /// The number of the call on this architecture.
        package let call: Int32
        /// Conditions of its arguments; none for a call that is always allowed.
        package let conditions: [Condition]
    }

    /// Condition of one argument.
    ///
    /// The kernel takes most arguments for 32 bits wide and ignores the upper half, and so do all of these but `isNull`.
    package enum Condition: Sendable {
        /// The argument is one of these.
        case isOne(Int, of: [UInt32])
        /// None of these bits is set.
        case lacks(Int, bits: UInt32)
        /// All 64 bits are zero.
        case isNull(Int)
    }

    /// Calls that are allowed.
    package let rules: [Rule]
    /// Calls that fail with ENOSYS, so that the C library makes an older one whose arguments can be checked.
    package let missing: [Int32]

    /// Makes a filter.
    package init(_ rules: [Rule], missing: [Int32] = []) {
        self.rules = rules
        self.missing = missing
    }

    /// Binds every thread of this process, and those to come; it cannot be taken back.
    ///
    /// Wraps prctl(PR_SET_NO_NEW_PRIVS), which an unprivileged filter needs, and seccomp(SECCOMP_FILTER_FLAG_TSYNC).
    ///
    /// - Throws: the error of the calls; ESRCH where a thread has a filter of its own.
    package func install() throws(Errno) {
        let program = program
        try checkErrno { credfs_prctl(PR_SET_NO_NEW_PRIVS, 1) }
        try checkErrno {
            unsafe program.withUnsafeBufferPointer {
                unsafe credfs_install_filter($0.baseAddress, UInt16($0.count))
            }
        }
    }

    private var program: [sock_filter] {
        var program = [
            Self.load(UInt32(MemoryLayout<seccomp_data>.offset(of: \.arch) ?? 0)),
            Self.jump(BPF_JEQ, UInt32(CREDFS_AUDIT_ARCHITECTURE), ifTrue: 1),
            Self.end(UInt32(SECCOMP_RET_KILL_PROCESS)),
            Self.load(UInt32(MemoryLayout<seccomp_data>.offset(of: \.nr) ?? 0)),
        ]
        // Those of a number alone come first: the kernel caches what a filter always answers.
        for rule in rules.filter(\.conditions.isEmpty) + rules.filter({ !$0.conditions.isEmpty }) {
            let body = rule.conditions.flatMap(Self.check) + [Self.end(UInt32(SECCOMP_RET_ALLOW))]
            program.append(Self.jump(BPF_JEQ, UInt32(rule.call), ifFalse: UInt8(body.count)))
            program += body
        }
        for call in missing {
            program.append(Self.jump(BPF_JEQ, UInt32(call), ifFalse: 1))
            program.append(Self.end(UInt32(SECCOMP_RET_ERRNO) | UInt32(ENOSYS)))
        }
        return program + [Self.refusal]
    }

    /// Goes on where a condition holds, and ends with EPERM otherwise.
    private static func check(_ condition: Condition) -> [sock_filter] {
        switch condition {
        case .isOne(let index, let values):
            // Each value jumps over those behind it and over the refusal.
            let tests = values.enumerated().map { (place, value) in
                jump(BPF_JEQ, value, ifTrue: UInt8(values.count - place))
            }
            return [load(argument(index))] + tests + [refusal]
        case .lacks(let index, let bits):
            return [load(argument(index)), jump(BPF_JSET, bits, ifFalse: 1), refusal]
        case .isNull(let index):
            return [argument(index), argument(index) + 4].flatMap {
                [load($0), jump(BPF_JEQ, 0, ifTrue: 1), refusal]
            }
        }
    }

    /// The place of the lower half of an argument: both architectures are little-endian.
    private static func argument(_ index: Int) -> UInt32 {
        UInt32(MemoryLayout<seccomp_data>.offset(of: \.args) ?? 0) + 8 * UInt32(index)
    }

    private static func load(_ offset: UInt32) -> sock_filter {
        sock_filter(code: UInt16(BPF_LD | BPF_W | BPF_ABS), jt: 0, jf: 0, k: offset)
    }

    private static func jump(_ test: Int32, _ value: UInt32, ifTrue: UInt8 = 0, ifFalse: UInt8 = 0) -> sock_filter {
        sock_filter(code: UInt16(BPF_JMP | test | BPF_K), jt: ifTrue, jf: ifFalse, k: value)
    }

    private static func end(_ action: UInt32) -> sock_filter {
        sock_filter(code: UInt16(BPF_RET | BPF_K), jt: 0, jf: 0, k: action)
    }

    private static var refusal: sock_filter { end(UInt32(SECCOMP_RET_ERRNO) | UInt32(EPERM)) }
}
