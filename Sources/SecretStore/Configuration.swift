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

    /// Source that `run` and `mount` lay over a store (`sources`).
    package struct Source: Sendable, Equatable {
        /// The address, `SCHEME:LOCATION`.
        package var address = ""
        /// Settings beside the address; a list is text with commas between.
        package var settings: [Setting] = []
    }

    /// Setting of a source.
    package struct Setting: Sendable, Equatable {
        package let key: String
        package let value: String
    }

    /// Value that is no secret, of a name that no source has (`default`).
    package struct Default: Sendable, Equatable {
        package let name: SecretName
        package let value: String
    }

    package var forwarding = Forwarding.none
    /// Sources, the last one on top.
    package var sources: [Source] = []
    package var defaults: [Default] = []

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
                switch key {
                case "audit":
                    try events.mapping { (key, events) throws(StoreError) in
                        guard key == "forward" else { throw events.unknownKey("forward") }
                        configuration.forwarding = try events.word(Forwarding.self)
                    }
                case "sources":
                    try events.list { (event, events) throws(StoreError) in
                        configuration.sources.append(try Source(event, &events))
                    }
                case "default":
                    try events.mapping { (key, events) throws(StoreError) in
                        guard let name = SecretReference(key)?.name else {
                            throw events.invalid("bad name of a secret", hint: SecretReference.rule)
                        }
                        configuration.defaults.append(Default(name: name, value: try events.text()))
                    }
                default: throw events.unknownKey("audit, sources, default")
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

extension Configuration.Source {
    /// Reads an item of the list: an address, or a mapping with one and settings.
    fileprivate init(_ event: YAMLEventReader.Event, _ events: inout YAMLEventReader) throws(StoreError) {
        self.init()
        switch event {
        case .scalar: address = try events.currentText()
        case .mappingStart:
            var source = self
            try events.mappingEntries { (key, events) throws(StoreError) in
                switch key {
                case "source": source.address = try events.text()
                case "names":
                    var names: [String] = []
                    try events.list { (event, events) throws(StoreError) in
                        guard event == .scalar else { throw events.invalid("a name is expected") }
                        names.append(try events.currentText())
                    }
                    source.settings.append(.init(key: key, value: names.joined(separator: ",")))
                case "ttl", "max-stale", "timeout", "newline", "region", "profile", "endpoint", "address",
                    "namespace", "login":
                    source.settings.append(.init(key: key, value: try events.text()))
                default:
                    throw events.unknownKey(
                        "source, names, ttl, max-stale, timeout, newline, region, profile, endpoint, address, "
                            + "namespace, login"
                    )
                }
            }
            guard !source.address.isEmpty else { throw events.invalid("a source without its address") }
            self = source
        default: throw events.invalid("a source is expected")
        }
    }
}
