// SPDX-License-Identifier: Apache-2.0

internal import ProcessControl
internal import Sealing
package import SecretStore
package import SystemCalls

/// The caller's side of the helper process of an import: sees names and sealed values, and no plaintext.
package final class DocumentImport {
    /// The names in the document, in its order.
    package let names: [ImportedName]
    private let helper: HelperProcess

    /// Starts the helper process on a document and reads the names in it.
    ///
    /// - Parameters:
    ///   - document: open for reading, at its start.
    ///   - request: how it is written.
    ///   - key: what opens Fernet tokens.
    /// - Throws: what is wrong with the document, with line and column and no content.
    package init(
        _ document: borrowing OwnedDescriptor,
        _ request: ImportRequest,
        _ key: FernetKey?
    ) throws(StoreError) {
        var request = request
        request.hasFernetKey = key != nil
        helper = try HelperProcess(document, request.arguments)
        if let key { try helper.send(key) }
        names = try helper.receive(.names).lines.compactMap { ImportedName(line: $0) }
    }

    /// Starts the helper process on a file of sops, opens its data key and reads the names in it.
    ///
    /// - Parameters:
    ///   - file: open for reading, at its start.
    ///   - name: the secret that the content of a binary file is.
    ///   - isGuess: whether that name is one that any other file may do without.
    ///   - identities: what may open the data key; called once there is one.
    /// - Throws: class `authentication` where nothing opens it, or a value or the MAC does not fit.
    package init(
        sops file: borrowing OwnedDescriptor,
        _ name: SecretReference?,
        isGuess: Bool,
        _ identities: () throws(StoreError) -> AgeIdentityFile
    ) throws(StoreError) {
        var request = ImportRequest(.sops)
        request.name = name
        request.hasGuessedName = isGuess
        helper = try HelperProcess(file, request.arguments)
        let wrapped = try helper.receive(.wrappedKeys).lines.map { line in
            line.split(separator: " ", omittingEmptySubsequences: false).map { String($0) }
        }
        try helper.send(Self.dataKey(wrapped, try identities()))
        names = try helper.receive(.names).lines.compactMap { ImportedName(line: $0) }
    }

    /// The data key in the first age file that an identity opens.
    private static func dataKey(
        _ wrapped: [[String]],
        _ identities: AgeIdentityFile
    ) throws(StoreError) -> Key256 {
        for parts in wrapped where parts.count == 2 {
            guard let file = Base64.bytes(parts[1]) else { continue }
            do throws(AgeError) { return try AgeFile.unwrap(file.span, for: identities.identities) } catch {
                if case .sealing(let error) = error, error != .authenticationFailure { throw .sealing(error) }
            }
        }
        throw StoreError(
            .authentication,
            "no age identity at hand opens it",
            hint: "it is encrypted for \(Names.abbreviated(wrapped.map { $0[0] }))"
        )
    }

    /// Seals values in the helper process; once.
    ///
    /// - Parameters:
    ///   - targets: for each name the secret that its value is for, or nil.
    ///   - keys: the keys of the store.
    ///   - progress: is told how many are sealed.
    /// - Returns: the sealed values of the names that have a target; of a value without bytes, no text.
    /// - Throws: `StoreError`, such as for a value that is not the Base64 it should be.
    package func seal(
        _ targets: [ImportTarget?],
        _ keys: StoreKeys,
        progress: (Int) -> Void
    ) throws(StoreError) -> [String] {
        try helper.send(keys)
        try helper.send(DocumentFrame(.targets, ImportTarget.lines(targets)))
        let count = targets.count { $0 != nil }
        var values: [String] = []
        repeat {
            values += try helper.receive(.values).text.split(separator: "\n", omittingEmptySubsequences: false)
                .dropLast().map(String.init)
            progress(values.count)
        } while values.count < count
        try helper.end()
        return values
    }
}
