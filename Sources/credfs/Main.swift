// SPDX-License-Identifier: Apache-2.0

internal import CredfsCommands
internal import Glibc

@main
enum Main {
    static func main() {
        exit(EntryPoint.main(CommandLine.arguments))
    }
}
