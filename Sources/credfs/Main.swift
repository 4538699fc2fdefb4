// SPDX-License-Identifier: Apache-2.0

internal import CredfsCommands
internal import Glibc

@main
enum Main {
    static func main() {
        // As the kernel handed them over: Swift's own list has U+FFFD where an argument is not UTF-8.
        let arguments = (0..<Int(CommandLine.argc)).map { index -> [UInt8] in
            guard let text = unsafe CommandLine.unsafeArgv[index] else { return [] }
            return unsafe Array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
        }
        exit(EntryPoint.main(arguments))
    }
}
