// SPDX-License-Identifier: Apache-2.0

internal import SecureMemory

/// Binding of templates to the values of a set: which parts there are, how filters quote them, and the exact size.
struct TemplateBinder {
    private let set: SecretSet
    private let entries: [SecretName: SecretEntry]
    private let now: Timestamp?

    init(_ set: SecretSet, now: Timestamp?) {
        self.set = set
        self.now = now
        entries = Dictionary(set.available.map { ($0.name, $0) }) { first, _ in first }
    }

    /// What is found out about one file.
    private struct Draft {
        let name: SecretName
        /// The largest file, and the largest input of a filter, in bytes.
        let limit: Int
        var names: [SecretName] = []
        var indices: [SecretName: Int] = [:]
        var sealed = SealedParts()
    }

    /// Binds the template of an entry.
    ///
    /// - Parameters:
    ///   - name: the name of the file.
    ///   - template: its template.
    ///   - limit: the largest file in bytes.
    /// - Returns: the file, or what it lacks.
    /// - Throws: class `invalid` for a file that is too large or cannot be rendered.
    func file(
        _ name: SecretName,
        _ template: Template,
        limit: Int
    ) throws(StoreError) -> Result<RenderedFile, MissingFile> {
        var draft = Draft(name: name, limit: limit)
        var pieces: [RenderedFile.Piece] = []
        var scratch = try SecureBuffer.scratch()
        for piece in template.pieces {
            var operands: [RenderedFile.Operand] = []
            for operand in piece.operands {
                switch operand {
                case .text(let bytes): operands.append(.init(source: .text(bytes)))
                case .secret(let name):
                    let entry = entries[name] ?? SecretEntry(name: name)
                    if let lack = lack(of: entry, in: draft) { return .failure(lack) }
                    operands.append(.init(source: try source(entry, &draft)))
                case .all(let collection): operands += try all(collection, &draft, &scratch)
                }
            }
            pieces.append(try filtered(operands, piece.filters, draft, &scratch))
        }
        let pass = try measure(pieces, draft, findsTraits: false, &scratch)
        return .success(
            RenderedFile(
                template,
                parts: draft.names,
                pieces: pieces,
                byteCount: pass.position,
                checkpoints: pass.checkpoints ?? []
            )
        )
    }

    /// Finds out whether a part makes its file missing: an optional one without a value is rendered as nothing.
    private func lack(of entry: SecretEntry, in draft: Draft) -> MissingFile? {
        if let now, let expires = entry.expires, expires <= now {
            return MissingFile(name: draft.name, part: entry.name, expired: expires)
        }
        // What is not in the set was required at the latest by the template.
        guard entry.value == .empty, entry.required || entries[entry.name] == nil else { return nil }
        return MissingFile(name: draft.name, part: entry.name, expired: nil)
    }

    private func source(_ entry: SecretEntry, _ draft: inout Draft) throws(StoreError) -> RenderedFile.Operand.Source {
        switch entry.value {
        case .empty: return .text([])
        case .sealed(let value):
            let count = value.ciphertext.count
            if let index = draft.indices[entry.name] { return .part(index, count: count) }
            let index = draft.names.count
            draft.indices[entry.name] = index
            draft.names.append(entry.name)
            draft.sealed.append(value, set.keys(of: entry))
            return .part(index, count: count)
        case .template, .unsealed:
            throw StoreError(
                .invalid,
                "'\(draft.name.text)' cannot be rendered from '\(entry.name.text)', which has no value of its own"
            )
        }
    }

    /// Every secret that has a value and has not expired, in the order of the names.
    private func all(
        _ collection: Template.Collection,
        _ draft: inout Draft,
        _ scratch: inout SecureBuffer
    ) throws(StoreError) -> [RenderedFile.Operand] {
        var operands: [RenderedFile.Operand] = []
        var labels: [String: SecretName] = [:]
        let shown = entries.values.filter { $0.isPartOfAll && (now.map($0.isCurrent) ?? true) }
            .sorted { $0.name < $1.name }
        if collection == .json { operands.append(Self.text("{")) }
        for (index, entry) in shown.enumerated() {
            var operand = RenderedFile.Operand(source: try source(entry, &draft))
            let traits = try traits([.init(operands: [operand])], draft, &scratch)
            let filter: TemplateFilter = collection == .json ? .json : .dotenv
            if let obstacle = filter.obstacle(traits) { throw Self.failure(draft, entry.name, filter, obstacle) }
            operand.stage = TemplateStage(filter, traits)
            switch collection {
            case .json:
                operands.append(Self.text((index == 0 ? "" : ",") + Self.jsonString(entry.name.text) + ":"))
                operands.append(operand)
            case .dotenv:
                let label = VariableName(entry.name.text)?.text ?? VariableName(of: entry.name).text
                if let obstacle = VariableName.dotenvObstacle(label) {
                    throw Self.failure(draft, entry.name, filter, obstacle)
                }
                if let other = labels.updateValue(entry.name, forKey: label) {
                    throw StoreError(
                        .invalid,
                        "'\(draft.name.text)' cannot be rendered: "
                            + "'\(other.text)' and '\(entry.name.text)' would both be \(label)",
                        hint: "name its parts one by one in place of all"
                    )
                }
                operands += [Self.text("\(label)="), operand, Self.text("\n")]
            }
        }
        if collection == .json { operands.append(Self.text("}")) }
        return operands
    }

    private func filtered(
        _ operands: [RenderedFile.Operand],
        _ filters: [TemplateFilter],
        _ draft: Draft,
        _ scratch: inout SecureBuffer
    ) throws(StoreError) -> RenderedFile.Piece {
        var piece = RenderedFile.Piece(operands: operands)
        for filter in filters {
            let traits = filter.looksAtAll ? try traits([piece], draft, &scratch) : ContentTraits()
            if let obstacle = filter.obstacle(traits) {
                throw Self.failure(draft, Self.names(of: operands, draft), filter, obstacle)
            }
            piece.stages.append(TemplateStage(filter, traits))
        }
        return piece
    }

    private func traits(
        _ pieces: [RenderedFile.Piece],
        _ draft: Draft,
        _ scratch: inout SecureBuffer
    ) throws(StoreError) -> ContentTraits {
        try measure(pieces, draft, findsTraits: true, &scratch).traits ?? ContentTraits()
    }

    /// Passes content through the stages to count it.
    ///
    /// - Throws: class `invalid` for more than the limit.
    private func measure(
        _ pieces: [RenderedFile.Piece],
        _ draft: Draft,
        findsTraits: Bool,
        _ scratch: inout SecureBuffer
    ) throws(StoreError) -> RenderPass {
        var pass = RenderPass(measuring: pieces, limit: draft.limit, findsTraits: findsTraits)
        var nothing: [UInt8] = []
        var output = nothing.mutableSpan
        try pass.run(from: RenderedFile.Checkpoint(), &scratch, &output, draft.sealed.read)
        guard pass.position <= draft.limit else {
            throw StoreError(
                .invalid,
                "the rendered file '\(draft.name.text)' is larger than \(draft.limit) bytes",
                hint: draft.limit < Manifest.maximumSecretByteCount
                    ? "allow it with --max-size" : "leave parts of it out"
            )
        }
        return pass
    }

    private static func names(of operands: [RenderedFile.Operand], _ draft: Draft) -> [SecretName] {
        operands.compactMap { operand in
            guard case .part(let index, _) = operand.source else { return nil }
            return draft.names[index]
        }
    }

    /// Failure of a part of `all`.
    private static func failure(
        _ draft: Draft,
        _ part: SecretName,
        _ filter: TemplateFilter,
        _ obstacle: String
    ) -> StoreError {
        let failure = failure(draft, [part], filter, obstacle)
        return StoreError(failure.code, failure.message, hint: "name the parts one by one in place of all")
    }

    private static func failure(
        _ draft: Draft,
        _ parts: [SecretName],
        _ filter: TemplateFilter,
        _ obstacle: String
    ) -> StoreError {
        StoreError(
            .invalid,
            "'\(draft.name.text)' cannot be rendered: \(Names.abbreviated(parts.map(\.text))) has \(obstacle), "
                + "which \(filter.rawValue) cannot hold",
            hint: "another filter can: base64 holds any bytes"
        )
    }

    private static func text(_ text: String) -> RenderedFile.Operand { .init(source: .text(Array(text.utf8))) }

    /// A name as a string of JSON; it is printable ASCII.
    private static func jsonString(_ name: String) -> String {
        "\"" + name.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
}
