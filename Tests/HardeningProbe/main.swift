// SPDX-License-Identifier: Apache-2.0

// A process for ProcessHardeningTests to look at: it hardens itself, or does not, and then crashes, reports, or tries what
// a server may not do.

import Glibc
import ProcessControl
import SystemCalls
import SystemPackage

/// Crashes in a call whose arguments point to a text.
@inline(never)
func crash(_ text: [UInt8], at address: Int) {
    unsafe text.withUnsafeBytes { bytes in
        guard let source = bytes.baseAddress, let target = unsafe UnsafeMutableRawPointer(bitPattern: address) else {
            return
        }
        unsafe memcpy(target, source, bytes.count)
    }
}

/// Writes what the process is now to a file, since the standard descriptors may be what is looked at.
func report(to path: String) throws {
    let core = try ProcessAttributes.coreLimit()
    let file = try OwnedDescriptor.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
    try file.writeAll("dumpable \(try ProcessAttributes.isDumpable())\n")
    try file.writeAll("core \(core.soft) \(core.hard)\n")
    for number in Int32(0)...2 {
        let flags = fcntl(number, F_GETFL)
        let access = flags == -1 ? "closed" : flags & O_ACCMODE == O_RDONLY ? "read" : "write"
        try file.writeAll("descriptor \(number) \(access)\n")
    }
    try file.writeAll("next \(file.number)\n")
}

#if arch(x86_64)
    /// uretprobe(2) and uprobe(2), which no filter is asked about and which work in code of the kernel alone.
    let trampolines: [Int32] = [335, 336]
#else
    let trampolines: [Int32] = []
#endif

/// Says with what each attempt fails, in this process or in one that may only serve.
func attempt(in directory: String, filtered: Bool) throws {
    let attempts = try FilterAttempts(in: directory).all
    let filter = ServingFilter.filter(signalling: nil, from: getpid())
    let other = try Waiter()
    if filtered { try ServingFilter.install() }
    for (name, call, arguments) in attempts {
        print("attempt \(name) \(FilterAttempts.call(call, arguments))")
    }
    guard filtered else { return }
    // Every number there is, and those to come; arguments that no call takes.
    let listed = Set(filter.rules.map(\.call) + trampolines)
    for number in Int32(0)..<1024 where !listed.contains(number) {
        let error = FilterAttempts.call(number, Array(repeating: -1, count: 6))
        let expected = filter.missing.contains(number) ? ENOSYS : EPERM
        if error != expected { print("number \(number) \(error)") }
    }
    try other.finish()
    print(try ServingSample.run(in: directory))
}

let arguments = CommandLine.arguments.dropFirst()
if arguments.contains("hardened") { try ProcessHardening.begin() }
switch arguments.last {
case "fault":
    crash([UInt8](repeating: UInt8(ascii: "M"), count: 64), at: arguments.count * 8)
case "trap":
    let numbers = arguments.map(\.utf8.count)
    print(numbers[arguments.count])
case "broken-pipe":
    let written = try OwnedDescriptor.pipe().ends { (read, write) -> Errno? in
        _ = consume read
        do throws(Errno) { try write.writeAll("x") } catch { return error }
        return nil
    }
    exit(written == .brokenPipe ? 0 : 1)
case let signal? where signal.hasPrefix("signal-"):
    raise(Int32(signal.dropFirst("signal-".count)) ?? SIGKILL)
case "attempt", "attempt-filtered":
    try attempt(in: arguments.first ?? ".", filtered: arguments.last == "attempt-filtered")
case let path?:
    try report(to: path)
case nil:
    exit(64)
}
