// SPDX-License-Identifier: Apache-2.0

internal import CredfsCommands
internal import Glibc

/// The path of a program that comes with the runtime of the language (swift/stdlib/public/runtime/Paths.cpp): there is none.
///
/// The runtime asks when it starts, for a program that would print the memory of a crash. It would start one that lies beside
/// credfs, and aborts in a static program without /proc. The linker puts this in the place of the runtime's function (`--wrap`).
@c(__wrap_swift_copyAuxiliaryExecutablePath)
func auxiliaryExecutablePath(of name: UnsafePointer<CChar>?) -> UnsafeMutablePointer<CChar>? { nil }

/// The `main` of C, which gets its arguments from the kernel.
///
/// `CommandLine` reads them from /proc/self/cmdline instead: where /proc is not mounted they would be lost, and a command
/// that checks something would succeed without having looked. SwiftPM links `credfs_main` as `main`.
@c(credfs_main)
func main(count: Int32, arguments: UnsafePointer<UnsafePointer<CChar>?>) -> Int32 {
    // As the kernel handed them over: a `String` would have U+FFFD where an argument is not UTF-8.
    // SAFETY: execve(2) gives `count` terminated strings.
    let bytes = (0..<Int(count)).map { index -> [UInt8] in
        guard let text = unsafe arguments[index] else { return [] }
        return unsafe Array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
    }
    return EntryPoint.main(bytes)
}
