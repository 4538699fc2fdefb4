// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Testing

/// Memory of another process, as root sees it.
enum ProcessMemory {
    /// Counts the places with these bytes in all that can be read of it.
    static func count(of text: String, in process: Int32) async throws -> Int {
        let search = """
            import sys
            text, process = sys.argv[1].encode(), sys.argv[2]
            found = 0
            with open(f"/proc/{process}/mem", "rb", 0) as memory, open(f"/proc/{process}/maps") as maps:
                for line in maps:
                    start, end = (int(part, 16) for part in line.split()[0].split("-"))
                    try:
                        memory.seek(start)
                        found += memory.read(end - start).count(text)
                    except (OSError, OverflowError, ValueError):
                        pass
            print(found)
            """
        let outcome = try await ChildProcess.run("/usr/bin/python3", ["-I", "-c", search, text, "\(process)"])
        return try #require(Int(outcome.outputText.dropLast()), "\(outcome.errorText)")
    }
}
