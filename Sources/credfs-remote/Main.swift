// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import RemoteProviders

/// The path of a program that comes with the runtime of the language: there is none, as for credfs.
@c(__wrap_swift_copyAuxiliaryExecutablePath)
func auxiliaryExecutablePath(of name: UnsafePointer<CChar>?) -> UnsafeMutablePointer<CChar>? { nil }

/// The `main` of C, which gets its arguments from the kernel.
///
/// SwiftPM links `credfs_remote_main` as `main`.
@c(credfs_remote_main)
func main(count: Int32, arguments: UnsafePointer<UnsafePointer<CChar>?>) -> Int32 {
    // SAFETY: execve(2) gives `count` terminated strings.
    let words = (0..<Int(count)).map { index -> String in
        guard let text = unsafe arguments[index] else { return "" }
        return unsafe String(cString: text)
    }
    return RemoteProgram.main(words)
}
