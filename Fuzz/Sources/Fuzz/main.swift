// SPDX-License-Identifier: Apache-2.0

internal import CFuzzer
internal import Glibc

// The first argument names the target, the rest is for libFuzzer; without one the targets are listed.
guard CommandLine.arguments.count > 1 else {
    for target in FuzzTarget.all { print(target.name) }
    exit(0)
}
guard let target = FuzzTarget.all.first(where: { $0.name == CommandLine.arguments[1] }) else {
    print("fuzz: error: no such target")
    exit(64)
}
unsafe Chosen.target = target
var count = CommandLine.argc - 1
var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv + 1
let status = unsafe LLVMFuzzerRunDriver(&count, &arguments) { data, size in
    let text = unsafe Array(UnsafeBufferPointer(start: data, count: size))
    let holds = unsafe Chosen.target?.accepts(text) ?? false
    precondition(holds, "what must hold of every input does not")
    return 0
}
exit(status)
