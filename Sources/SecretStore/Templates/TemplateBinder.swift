// SPDX-License-Identifier: Apache-2.0

internal import SecureMemory

/// Binding of templates to the values of a set: which parts there are, how filters quote them, and the exact size.
struct TemplateBinder {
    /// The largest content that a filter is given.
    private static let maximumInputByteCount = 4 * Manifest.maximumSecretByteCount

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
        var names: [SecretName] = []
        var indices: [SecretName: Int] = [:]
        var sealed = SealedParts()
    }

    /// Binds the template of an entry.
    ///
    /// - Parameters:
    ///   - entry: an entry with a template.
    ///   - limit: the largest file in bytes.
    /// - Returns: the file, or what it lacks.
    /// - Throws: class `invalid` for a file that is too large or cannot be rendered.
    func file(_ entry: SecretEntry, limit: Int) throws(StoreError) -> Result<RenderedFile, MissingFile> {
        guard let template = entry.template else { throw StoreError(.failed, "'\(entry.name.text)' has no template") }
        var draft = Draft(name: entry.name)
        var pieces: [RenderedFile.Piece] = []
        var scratch = try SecureBuffer.scratch()
        for piece in template.pieces {
            var operands: [RenderedFile.Operand] = []
            for operand in piece.operands {
                switch operand {
                case .text(let bytes): operands.append(.init(source: .text(bytes)))
                case .secret(let name):
                    if let lack = lack(of: name, in: entry) { return .failure(lack) }
                    operands.append(.init(source: try source(name, &draft)))
                case .all(let collection): operands += try all(collection, &draft, &scratch)
                }
            }
            pieces.append(try filtered(operands, piece.filters, draft, &scratch))
        }
        let pass = try measure(pieces, draft, limit: limit, findsTraits: false, &scratch)
        guard pass.position <= limit else {
            throw StoreError(
                .invalid,
                "the rendered file '\(entry.name.text)' is larger than \(limit) bytes",
                hint: limit < Manifest.maximumSecretByteCount ? "allow it with --max-size" : "leave parts of it out"
            )
        }
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
    private func lack(of name: SecretName, in file: SecretEntry) -> MissingFile? {
        guard let entry = entries[name] else { return MissingFile(name: file.name, part: name, expired: nil) }
        if let now, let expires = entry.expires, expires <= now {
            return MissingFile(name: file.name, part: name, expired: expires)
        }
        guard entry.value == .empty, entry.required else { return nil }
        return MissingFile(name: file.name, part: name, expired: nil)
    }

    private func source(_ name: SecretName, _ draft: inout Draft) throws(StoreError) -> RenderedFile.Operand.Source {
        guard let entry = entries[name] else { return .text([]) }
        switch entry.value {
        case .empty: return .text([])
        case .sealed(let value):
            if let index = draft.indices[name] { return .part(index, count: value.ciphertext.count) }
            let index = draft.names.count
            draft.indices[name] = index
            draft.names.append(name)
            draft.sealed.append(value, set.keys(of: entry))
            return .part(index, count: value.ciphertext.count)
        case .template, .unsealed:
            throw StoreError(
                .invalid,
                "'\(draft.name.text)' cannot be rendered from '\(name.text)', which has no value"
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
            var operand = RenderedFile.Operand(source: try source(entry.name, &draft))
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
            let traits = try traits([piece], draft, &scratch)
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
        let limit = Self.maximumInputByteCount
        let pass = try measure(pieces, draft, limit: limit, findsTraits: true, &scratch)
        guard pass.position <= limit, let traits = pass.traits else {
            throw StoreError(.invalid, "an expression of '\(draft.name.text)' is larger than \(limit) bytes")
        }
        return traits
    }

    private func measure(
        _ pieces: [RenderedFile.Piece],
        _ draft: Draft,
        limit: Int,
        findsTraits: Bool,
        _ scratch: inout SecureBuffer
    ) throws(StoreError) -> RenderPass {
        var pass = RenderPass(measuring: pieces, limit: limit, findsTraits: findsTraits)
        var nothing: [UInt8] = []
        var output = nothing.mutableSpan
        try pass.run(from: RenderedFile.Checkpoint(), &scratch, &output, draft.sealed.read)
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
