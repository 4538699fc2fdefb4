// SPDX-License-Identifier: Apache-2.0

internal import Foundation

/// Memory of another process, as root sees it.
package enum ProcessMemory {
    /// Search of every page that can be read, in all mappings: those of memfd_secret cannot.
    private static let search = """
        import sys
        texts = [text.encode() for text in sys.argv[2:]]
        longest = max(map(len, texts))
        PAGE, PIECE = 4096, 1 << 20
        with open(f"/proc/{sys.argv[1]}/mem", "rb", 0) as memory, open(f"/proc/{sys.argv[1]}/maps") as maps:
            for line in maps:
                fields = line.split(maxsplit=5)
                start, end = (int(part, 16) for part in fields[0].split("-"))
                name = fields[5].strip() if len(fields) > 5 else "anonymous"
                found, rest = [0] * len(texts), b""
                while start < end:
                    try:
                        memory.seek(start)
                        piece = memory.read(min(PIECE, end - start))
                    except (OSError, OverflowError, ValueError):
                        piece = b""
                    if not piece:
                        start, rest = (start // PAGE + 1) * PAGE, b""
                        continue
                    start += len(piece)
                    content = rest + piece
                    rest = content[len(content) - longest + 1:]
                    for index, text in enumerate(texts):
                        # What ends in the part of before was counted there.
                        found[index] += content.count(text) - rest.count(text)
                    # The rest is counted with what follows, or now.
                    if start >= end:
                        for index, text in enumerate(texts):
                            found[index] += rest.count(text)
                for index, count in enumerate(found):
                    if count:
                        print(index, count, name)
        """

    /// Place in a process where a text was found.
    package struct Place: Sendable {
        /// Number of the text among those that were looked for.
        package let text: Int
        /// How often it is there.
        package let count: Int
        /// The mapping: a file, `[heap]`, `[stack]`, or `anonymous`.
        package let mapping: String
    }

    /// Places with texts in all that can be read of a process.
    package static func places(of texts: [String], in process: Int32) async throws -> [Place] {
        let outcome = try await ChildProcess.run("/usr/bin/python3", ["-I", "-c", search, "\(process)"] + texts)
        guard outcome.status == .exited(0) else { throw Unreadable(reason: outcome.errorText) }
        return outcome.outputText.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ", maxSplits: 2)
            guard words.count == 3, let text = Int(words[0]), let count = Int(words[1]) else { return nil }
            return Place(text: text, count: count, mapping: String(words[2]))
        }
    }

    /// Counts the places with a text in all that can be read of a process.
    package static func count(of text: String, in process: Int32) async throws -> Int {
        try await places(of: [text], in: process).reduce(0) { $0 + $1.count }
    }

    /// Copies that can be read of what a process keeps on purpose: none where it keeps that in memfd_secret memory, else one.
    package static func copiesOfKept(in process: Int32) throws -> Int {
        let maps = try String(contentsOfFile: "/proc/\(process)/maps", encoding: .utf8)
        return maps.contains("secretmem") ? 0 : 1
    }

    /// Failure to read the memory of a process.
    package struct Unreadable: Error {
        let reason: String
    }
}
