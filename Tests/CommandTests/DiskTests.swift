// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// What a disk holds after the life of a store: every block of it is searched, those of removed files, too.
@Suite(.enabled(if: isRoot, "mounts a disk"), .timeLimit(.minutes(20))) struct DiskTests {
    @Test func noBlockHoldsAValueAKeyOrAPassword() async throws {
        let disk = try await Disk()
        let values = (0..<9).map { _ in mark() }
        let (old, new) = (mark(), mark())
        let name = "NAME_\(mark())"
        func credfs(_ arguments: String, _ input: String = "", password: String = old) async throws -> String {
            let variables = ["CREDFS_PASSWORD": password]
            return try await disk.shell("credfs \(arguments)", adding: variables, input: input)
        }

        _ = try await credfs("init --empty --password --password-fd 0", old)
        _ = try await credfs("set \(name)", values[0])
        _ = try await credfs("set \(name)", values[1])
        #expect(try await credfs("show \(name)") == values[1])
        _ = try await credfs("rotate \(name)", values[2])
        _ = try await credfs(
            "import - --format json",
            "{\"OTHER\": \"\(values[3])\", \"LONG\": \"\(values[4])\\n\(values[5])\"}"
        )
        #expect(try await credfs("export LONG --format json").contains(values[4]))
        // Editors of both kinds: one writes the file anew beside it, the other swap and backup files.
        _ = try await disk.shell(
            "EDITOR=\"sed -i.orig -e s/$OLD/$NEW/\" credfs edit; EDITOR=\"vim -es -c '%s/$NEW/$NEXT/' -c 'preserve|wq'\" credfs edit",
            adding: ["CREDFS_PASSWORD": old, "OLD": values[3], "NEW": values[6], "NEXT": values[7]]
        )
        #expect(try await credfs("show OTHER") == values[7])
        #expect(try await credfs("show LONG") == values[4] + "\n" + values[5])
        _ = try await credfs("rotate")
        for options in ["", "--shared", "--backend ramfs", "--backend tmpfs"] {
            let read = try await credfs("run \(options) -- sh -c 'cat $OTHER_FILE'")
            #expect(read == values[7])
        }
        // Rendered of several, in another spelling.
        _ = try await credfs("set JOINED --template -", "{{ OTHER \":\" OTHER | base64 }}")
        let joined = Data("\(values[7]):\(values[7])".utf8).base64EncodedString()
        for options in ["", "--shared", "--backend ramfs", "--backend tmpfs"] {
            #expect(try await credfs("run \(options) -- sh -c 'cat $JOINED_FILE'") == joined)
        }
        #expect(try await credfs("show JOINED") == joined)
        let mounted = "dir=$(credfs mount); cat \"$dir/OTHER\" \"$dir/LONG\" | wc -c; credfs unmount --all"
        #expect(
            try await disk.shell(mounted, adding: ["CREDFS_PASSWORD": old]).hasPrefix(
                "\(3 * values[0].utf8.count + 1)\n"
            )
        )
        _ = try await disk.shell(
            "credfs password --new-password-fd 3 3< <(printf %s \"$NEW_PASSWORD\")",
            adding: ["CREDFS_PASSWORD": old, "NEW_PASSWORD": new]
        )
        // Killed while it writes, and while it waits for the rest of a value.
        _ = try await disk.shell(
            "(printf %s \"$VALUE\"; exec sleep 30) | credfs set KILLED & sleep 1; kill -9 $! $(jobs -p); wait || true",
            adding: ["CREDFS_PASSWORD": new, "VALUE": values[8]]
        )
        #expect(try await credfs("show OTHER", password: new) == values[7])
        _ = try await credfs("delete -y \(name)", password: new)

        // The search finds what is there, and what was there once.
        let removed = mark()
        try await disk.shell("printf %s \"$MARK\" >removed; sync; rm removed", adding: ["MARK": removed])
        let blocks = try await disk.end()
        #expect(blocks.contains(name))
        #expect(blocks.contains(removed))
        for (index, mark) in (values + [old, new, joined]).enumerated() { #expect(!blocks.contains(mark), "\(index)") }
    }

    /// A word that nothing else says.
    private func mark() -> String { "canary" + UUID().uuidString.replacing("-", with: "").lowercased() }

    /// A file system in a file, mounted; everything that credfs could write to is on it.
    private final class Disk {
        private let directory: TemporaryDirectory
        private let environment: [String: String]
        private var isMounted = false

        init() async throws {
            directory = try TemporaryDirectory()
            let disk = directory.path("disk")
            environment = [
                "HOME": "\(disk)/home", "CREDFS_STORE": "\(disk)/store", "TMPDIR": "\(disk)/tmp",
                "XDG_RUNTIME_DIR": "\(disk)/run", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            ]
            try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: false)
            try await shell("truncate -s 48M ../image; mkfs.ext4 -q ../image; mount -o loop ../image .")
            isMounted = true
            try await shell("mkdir -m 700 home tmp run")
        }

        deinit {
            if isMounted { _ = unsafe umount2(directory.path("disk"), Int32(MNT_DETACH)) }
        }

        /// Runs a shell script on the disk, in which `credfs` is the program.
        @discardableResult
        func shell(
            _ script: String,
            adding variables: [String: String] = [:],
            input: String = "",
            at location: SourceLocation = #_sourceLocation
        ) async throws -> String {
            let begin = "set -e; cd '\(directory.path("disk"))'; credfs() { '\(credfs)' \"$@\"; }"
            let outcome = try await ChildProcess.run(
                "/bin/bash",
                ["-c", "\(begin)\n\(script)"],
                environment: environment.merging(variables) { $1 },
                standardInput: Array(input.utf8),
                timeout: .seconds(120)
            )
            try #require(
                outcome.status == .exited(0),
                "\(outcome.outputText)\(outcome.errorText)",
                sourceLocation: location
            )
            return outcome.outputText
        }

        /// Unmounts it.
        ///
        /// - Returns: every byte of it.
        func end() async throws -> Data {
            try await shell("sync; cd /; umount '\(directory.path("disk"))'")
            isMounted = false
            return try Data(contentsOf: URL(filePath: directory.path("image")))
        }
    }
}

extension Data {
    fileprivate func contains(_ text: String) -> Bool { range(of: Data(text.utf8)) != nil }
}
