// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
internal import Sealing
internal import SecretStore
internal import SecureFiles
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// The short-lived process that, beside `EditingHelper`, alone parses documents with plaintext in them, since every
/// parser copies what it reads.
///
/// Its memory is locked where that is allowed, freed blocks are overwritten by the allocator, and it ends with its one
/// task. The document is descriptor 3, the data key comes on descriptor 0, sealed text leaves on descriptor 1.
package enum PlaintextHelper {
    /// The first argument that makes credfs this process.
    package static let mode = "plaintext-helper"

    static let documentNumber: Int32 = 3
    /// The allocator overwrites what is freed; without the thread cache, which the setting alone misses.
    static let environment = ["GLIBC_TUNABLES=glibc.malloc.perturb=165:glibc.malloc.tcache_count=0"]

    /// Kind of document.
    package enum Task: String, Sendable {
        /// The manifest of a store itself.
        case manifest
        /// A template elsewhere.
        case template
    }

    /// Does the task that the arguments name; the whole life of the process.
    ///
    /// - Returns: the exit status: 0 if the caller was answered.
    package static func main(_ arguments: [String]) -> Int32 {
        // Where the limit of locked memory forbids it, the process is still short-lived and not dumpable.
        try? Memory.lockEverything()
        let words = arguments.dropFirst(2)
        let request = ImportRequest(words)
        let task = words.count == 1 ? words.first.flatMap(Task.init) : nil
        guard request != nil || task != nil else { return 1 }
        let input = OwnedDescriptor(owning: 0)
        let output = OwnedDescriptor(owning: 1)
        do throws(StoreError) {
            if let request {
                try ImportHelper.serve(request, OwnedDescriptor(owning: documentNumber), input, output)
            } else if let task {
                try serve(task, input, output)
            }
            return 0
        } catch {
            return (try? DocumentFrame(error).write(to: output.number)) == nil ? 1 : 0
        }
    }

    private static let progressStep = 256

    private static func serve(
        _ task: Task,
        _ input: borrowing OwnedDescriptor,
        _ output: borrowing OwnedDescriptor
    ) throws(StoreError) {
        let text = try PlaintextText(descriptor: OwnedDescriptor(owning: documentNumber))
        let document: ManifestReader.Document = task == .manifest ? .manifest : .template
        var header = try text.read(as: document, sealer: nil)
        let count = header.secrets?.count ?? 0
        header.secrets = []
        try send(.header, ManifestWriter.unsignedText(header), to: output)

        let keys = try KeyHandover.read(from: input)
        if let store = header.store, store != keys.store {
            throw StoreError(.invalid, "the document belongs to store \(store.text), not to \(keys.store.text)")
        }
        let now = Timestamp.now()
        var sealed: [String] = []
        var cipher = try keys.valueCipher()
        let answers = output.number
        var reading = try text.read(as: document) { (entry, content) throws(StoreError) in
            sealed.append(entry.name.text)
            try entry.enter(content, with: &cipher, now: now)
            if sealed.count.isMultiple(of: progressStep) {
                let message = DocumentFrame(.progress, "\(sealed.count)\n\(count)")
                try StoreError.wrapping("write to", "the calling process") { () throws(Errno) in
                    try message.write(to: answers)
                }
            }
        }
        try authenticate(reading, &cipher)
        reading.noteTemplates(at: now)
        try send(.sealedNames, Array(sealed.joined(separator: "\n").utf8), to: output)
        try send(.document, ManifestWriter.unsignedText(reading), to: output)
    }

    /// Authenticates what was sealed before.
    private static func authenticate(
        _ reading: ManifestReader.Reading,
        _ cipher: inout ValueCipher
    ) throws(StoreError) {
        var scratch = try SecureBuffer.scratch()
        for secret in reading.secrets ?? [] {
            guard case .sealed(let value) = secret.value else { continue }
            try cipher.authenticate(value, as: secret.name, scratch: &scratch)
        }
    }

    private static func send(
        _ kind: DocumentFrameKind,
        _ bytes: [UInt8],
        to output: borrowing OwnedDescriptor
    ) throws(StoreError) {
        do throws(Errno) {
            try DocumentFrame(kind, bytes).write(to: output.number)
        } catch { throw .system("write to", "the calling process", error) }
    }
}

/// Handover of the data key to a helper process: through a pipe, from secret memory into secret memory.
enum KeyHandover {
    static let byteCount = 36 + Key256.byteCount

    static func read(from input: borrowing OwnedDescriptor) throws(StoreError) -> StoreKeys {
        let message = try SecureBuffer.filled(
            capacity: byteCount,
            orThrow: { StoreError.memory($0) },
            { (bytes) throws(StoreError) in
                try fill(&bytes, from: input)
                return byteCount
            }
        )
        return try message.withBytes { (bytes) throws(StoreError) in
            guard let text = try? UTF8Span(validating: bytes.extracting(0..<36)),
                let store = StoreID(String(copying: text))
            else { throw StoreError(.failed, "no key was given") }
            let key = try StoreError.wrapping { () throws(SealingError) in
                try Key256(copying: bytes.extracting(36..<byteCount))
            }
            return try StoreKeys(dataKey: key, store: store)
        }
    }

    /// Reads a key of another kind.
    static func readKey(from input: borrowing OwnedDescriptor) throws(StoreError) -> Key256 {
        try Key256.filled(
            orThrow: { StoreError.sealing($0) },
            { (bytes) throws(StoreError) in try fill(&bytes, from: input) }
        )
    }

    private static func fill(
        _ bytes: inout MutableSpan<UInt8>,
        from input: borrowing OwnedDescriptor
    ) throws(StoreError) {
        let count = try StoreError.wrapping("read", "the key") { () throws(Errno) in try input.readFully(into: &bytes) }
        guard count == bytes.count else { throw StoreError(.failed, "no key was given") }
    }

    static func write(_ keys: StoreKeys, to output: borrowing OwnedDescriptor) throws(Errno) {
        try output.writeAll(keys.store.text)
        try keys.withDataKey { (key) throws(Errno) in
            try key.withBytes { (bytes) throws(Errno) in try output.writeAll(bytes) }
        }
    }
}
