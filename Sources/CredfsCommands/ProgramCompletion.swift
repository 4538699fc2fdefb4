// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Glibc
internal import SystemCalls

/// Completion behind `run --`: the programs in PATH, then files.
enum ProgramCompletion {
    /// For a program and its arguments.
    static let kind = CompletionKind.custom { words, _, prefix in
        guard let mark = words.firstIndex(of: "--") else { return [] }
        let isProgram = words.count <= mark + 2 && !prefix.contains("/")
        return isProgram ? programs(prefix, in: EnvironmentVariables.value("PATH") ?? "") : files(prefix)
    }

    private static func programs(_ prefix: String, in path: String) -> [String] {
        let names = path.split(separator: ":").flatMap { directory in
            entries(String(directory), prefix).filter { name in
                let status = try? FileStatus.ofPath("\(directory)/\(name)", followingLink: true)
                return status.map { $0.kind == .regular && $0.permissions & 0o111 != 0 } ?? false
            }
        }
        return Set(names).sorted()
    }

    private static func files(_ prefix: String) -> [String] {
        let directory = prefix.lastIndex(of: "/").map { String(prefix[...$0]) } ?? ""
        let begin = String(prefix.dropFirst(directory.count))
        return entries(directory.isEmpty ? "." : directory, begin).sorted().map { directory + $0 }
    }

    private static func entries(_ directory: String, _ prefix: String) -> [String] {
        let names = try? OwnedDescriptor.open(directory, O_RDONLY | O_DIRECTORY).entryNames()
        return (names ?? []).filter { $0.hasPrefix(prefix) && SecretNameCompletion.isInert($0) }
    }
}
