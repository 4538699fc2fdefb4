// SPDX-License-Identifier: Apache-2.0

/// A word as a POSIX shell takes it, for commands that people copy: as it is where it has nothing special, else in single
/// quotes.
package func quoted(_ word: String) -> String {
    let isPlain = word.utf8.allSatisfy { byte in
        (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
            || "/._-+@%".utf8.contains(byte)
    }
    return isPlain && !word.isEmpty ? word : "'\(word.replacing("'", with: "'\\''"))'"
}
