// SPDX-License-Identifier: Apache-2.0

extension ProcessHardening {
    /// Signals and limits that a process was started with and gave up, for a job to have them back.
    package struct Inherited: Sendable, Equatable {
        /// Signals that were ignored.
        package let ignoredSignals: [Int32]
        /// Soft limit of core files in bytes.
        package let softCoreLimit: UInt
        /// Hard limit of core files in bytes.
        package let hardCoreLimit: UInt

        /// Makes a record.
        package init(ignoredSignals: [Int32], softCoreLimit: UInt, hardCoreLimit: UInt) {
            self.ignoredSignals = ignoredSignals
            self.softCoreLimit = softCoreLimit
            self.hardCoreLimit = hardCoreLimit
        }

        /// Number of `words`.
        package static let wordCount = 3

        /// Arguments that tell another process.
        package var words: [String] {
            [ignoredSignals.map(String.init).joined(separator: ","), String(softCoreLimit), String(hardCoreLimit)]
        }

        /// Reads what `words` gave; nil for anything else.
        package init?(words: some Collection<String>) {
            let words = Array(words)
            guard words.count == Self.wordCount, let soft = UInt(words[1]), let hard = UInt(words[2]) else {
                return nil
            }
            let signals = words[0].split(separator: ",").compactMap { Int32($0) }
            self.init(ignoredSignals: signals, softCoreLimit: soft, hardCoreLimit: hard)
        }
    }
}
