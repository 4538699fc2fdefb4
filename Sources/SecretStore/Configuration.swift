// SPDX-License-Identifier: Apache-2.0

/// Settings of this machine or user (`credfs.yaml`): nothing in it is secret, and nothing is signed.
package struct Configuration: Sendable, Equatable {
    /// Receiver of copies of audit entries (`audit.forward`).
    package enum Forwarding: String, Sendable, CaseIterable {
        case journald
        case syslog
        case stderr
        case none
    }

    /// The file name.
    package static let fileName = "credfs.yaml"
    /// The largest file in bytes.
    package static let maximumByteCount = 1 << 16

    package var forwarding = Forwarding.none

    /// Makes the usual one, which is also that of an empty mapping.
    package init() {}

    /// Reads a configuration in the dialect of manifests.
    ///
    /// - Throws: class `invalid` with line and column.
    package static func read(_ text: Span<UInt8>) throws(StoreError) -> Configuration {
        // A file in which everything is commented out is no document.
        if isBlank(text) { return Configuration() }
        return try YAMLEventReader.read(text) { (events) throws(StoreError) in
            var configuration = Configuration()
            try events.mapping { (key, events) throws(StoreError) in
                guard key == "audit" else { throw events.unknownKey("audit") }
                try events.mapping { (key, events) throws(StoreError) in
                    guard key == "forward" else { throw events.unknownKey("forward") }
                    configuration.forwarding = try events.word(Forwarding.self)
                }
            }
            try events.expectEnd()
            return configuration
        }
    }

    private static func isBlank(_ text: Span<UInt8>) -> Bool {
        var isComment = false
        for index in text.indices {
            switch text[index] {
            case UInt8(ascii: "\n"): isComment = false
            case UInt8(ascii: " ") where !isComment: continue
            case UInt8(ascii: "#"): isComment = true
            default: if !isComment { return false }
            }
        }
        return true
    }
}
