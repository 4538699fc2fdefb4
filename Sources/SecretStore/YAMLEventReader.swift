// SPDX-License-Identifier: Apache-2.0

internal import CYAML

/// Events of one YAML document in the strict dialect of manifests: no tags, anchors, aliases, directives, byte
/// order mark or second document.
///
/// Wraps libyaml's parser.
@safe
package struct YAMLEventReader: ~Copyable {
    package enum Event: Sendable, Equatable {
        case scalar
        case mappingStart
        case mappingEnd
        case sequenceStart
        case sequenceEnd
        case end
    }

    // Both are on the heap, since libyaml keeps pointers into the parser.
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let event: UnsafeMutablePointer<yaml_event_t>
    private var depth = 0
    private var comments: CommentScanner
    private let foldsLines: Bool

    /// Runs a function over the events of a text, which must stay where it is meanwhile.
    ///
    /// - Parameters:
    ///   - text: the text.
    ///   - foldsLines: whether text without a `|` may go over several lines, which YAML reads as one.
    ///   - body: takes the events.
    /// - Returns: what the function returns.
    /// - Throws: `StoreError` of class `invalid` with line and column.
    package static func read<R>(
        _ text: Span<UInt8>,
        foldingLines foldsLines: Bool = false,
        _ body: (inout YAMLEventReader) throws(StoreError) -> R
    ) throws(StoreError) -> R {
        // libyaml understands UTF-16 and skips a mark; the dialect has neither.
        if text.count >= 2 {
            let first = (text[0], text[1])
            guard first != (0xef, 0xbb), first != (0xff, 0xfe), first != (0xfe, 0xff) else {
                throw StoreError(.invalid, "byte order mark at line 1: save the file as UTF-8 without one")
            }
        }
        return try unsafe text.withUnsafeBufferPointer { (buffer) throws(StoreError) in
            var reader = unsafe try YAMLEventReader(buffer, foldsLines: foldsLines)
            try reader.expectStart()
            return try body(&reader)
        }
    }

    private init(_ text: UnsafeBufferPointer<UInt8>, foldsLines: Bool) throws(StoreError) {
        self.foldsLines = foldsLines
        unsafe parser = .allocate(capacity: 1)
        unsafe event = .allocate(capacity: 1)
        comments = unsafe CommentScanner(text)
        unsafe event.initialize(to: yaml_event_t())
        let initialized = unsafe yaml_parser_initialize(parser)
        // Out of memory is the only failure, and there is nothing to go on with.
        precondition(initialized == 1, "libyaml cannot initialize")
        unsafe yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        unsafe yaml_parser_set_input_string(parser, text.baseAddress, text.count)
    }

    deinit {
        unsafe yaml_event_delete(event)
        unsafe yaml_parser_delete(parser)
        unsafe event.deallocate()
        unsafe parser.deallocate()
    }

    /// Position of the start of the current event.
    package var position: TextPosition {
        let mark = unsafe event.pointee.start_mark
        return TextPosition(line: Int(mark.line) + 1, column: Int(mark.column) + 1)
    }

    /// Plain style of the current scalar: no quotes, one line or more.
    package var isPlain: Bool {
        unsafe event.pointee.data.scalar.style == YAML_PLAIN_SCALAR_STYLE
    }

    /// Lends the bytes of the current scalar.
    package func withScalar<R: ~Copyable, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
        let scalar = unsafe event.pointee.data.scalar
        let bytes = unsafe UnsafeBufferPointer(start: scalar.value, count: Int(scalar.length))
        return try body(unsafe bytes.span)
    }

    /// The current scalar as text.
    ///
    /// Not for values, which may be plaintext.
    func scalarText() throws(StoreError) -> String {
        try withScalar { (bytes) throws(StoreError) in
            // libyaml lets NUL through as an escape; nothing in a manifest may hold one.
            guard let text = try? UTF8Span(validating: bytes) else {
                throw invalid("text that is not UTF-8")
            }
            return String(copying: text)
        }
    }

    /// An error at the current event.
    package func invalid(_ message: String, hint: String? = nil) -> StoreError {
        StoreError(.invalid, "\(message) at line \(position.line), column \(position.column)", hint: hint)
    }

    /// Goes on to the next event.
    package mutating func next() throws(StoreError) -> Event {
        try advance()
        switch unsafe event.pointee.type {
        case YAML_SCALAR_EVENT:
            let scalar = unsafe event.pointee.data.scalar
            try refuse(anchor: unsafe scalar.anchor != nil, tag: unsafe scalar.tag != nil)
            try refuseFolding()
            noteComments()
            return .scalar
        case YAML_MAPPING_START_EVENT:
            let start = unsafe event.pointee.data.mapping_start
            try refuse(anchor: unsafe start.anchor != nil, tag: unsafe start.tag != nil)
            try descend()
            noteComments()
            return .mappingStart
        case YAML_SEQUENCE_START_EVENT:
            let start = unsafe event.pointee.data.sequence_start
            try refuse(anchor: unsafe start.anchor != nil, tag: unsafe start.tag != nil)
            try descend()
            noteComments()
            return .sequenceStart
        case YAML_MAPPING_END_EVENT:
            depth -= 1
            return .mappingEnd
        case YAML_SEQUENCE_END_EVENT:
            depth -= 1
            return .sequenceEnd
        case YAML_ALIAS_EVENT:
            throw invalid("alias: manifests have none")
        default:
            return .end
        }
    }

    /// Checks that nothing follows the document.
    package mutating func expectEnd() throws(StoreError) {
        _ = try next()
        comments.scan(before: Int.max)
        try advance()
        guard unsafe event.pointee.type == YAML_STREAM_END_EVENT else {
            throw invalid("second document")
        }
    }

    /// The comments that were passed since the last call.
    mutating func takeComments() -> [String] {
        comments.take()
    }

    /// Block scalars may hold lines that look like comments; they end where the line behind them begins.
    private mutating func noteComments() {
        guard !foldsLines else { return }
        comments.scan(before: Int(unsafe event.pointee.start_mark.index))
        guard unsafe event.pointee.type == YAML_SCALAR_EVENT else { return }
        let end = Int(unsafe event.pointee.end_mark.index)
        if isBlockScalar { comments.pass(end) } else { comments.scan(behind: end) }
    }

    private var isBlockScalar: Bool {
        let style = unsafe event.pointee.data.scalar.style
        return style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE
    }

    private mutating func expectStart() throws(StoreError) {
        try advance()
        try advance()
        guard unsafe event.pointee.type == YAML_DOCUMENT_START_EVENT else {
            throw StoreError(.invalid, "the file is empty")
        }
        let start = unsafe event.pointee.data.document_start
        guard unsafe start.version_directive == nil, unsafe start.tag_directives.start == start.tag_directives.end
        else { throw invalid("directive: manifests have none") }
    }

    private func refuse(anchor: Bool, tag: Bool) throws(StoreError) {
        if anchor { throw invalid("anchor: manifests have none") }
        if tag { throw invalid("tag: manifests have none") }
    }

    /// A line break that YAML reads as a space would be a second spelling of the same text.
    private func refuseFolding() throws(StoreError) {
        guard !isBlockScalar && !foldsLines else { return }
        guard unsafe event.pointee.start_mark.line == event.pointee.end_mark.line else {
            throw invalid("text over several lines", hint: "write it after a '|' and indented")
        }
    }

    private mutating func descend() throws(StoreError) {
        depth += 1
        guard depth <= Manifest.maximumDepth else {
            throw invalid("nested deeper than \(Manifest.maximumDepth) levels")
        }
    }

    private mutating func advance() throws(StoreError) {
        unsafe yaml_event_delete(event)
        guard unsafe yaml_parser_parse(parser, event) == 1 else {
            // NOT SECRET: a constant text of libyaml.
            let problem = unsafe parser.pointee.problem.map { unsafe String(cString: $0) } ?? "not YAML"
            let mark = unsafe parser.pointee.problem_mark
            // Errors of decoding have an offset in place of a mark.
            let place =
                unsafe parser.pointee.error == YAML_READER_ERROR
                ? comments.position(of: unsafe parser.pointee.problem_offset)
                : TextPosition(line: Int(mark.line) + 1, column: Int(mark.column) + 1)
            throw StoreError(.invalid, "\(problem) at line \(place.line), column \(place.column)")
        }
    }
}
