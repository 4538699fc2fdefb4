// SPDX-License-Identifier: Apache-2.0

internal import ProcessControl
internal import SecretStore

/// Message between credfs and the processes that see plaintext; none of it holds any.
typealias DocumentFrame = Frame<DocumentFrameKind>

/// Kind of a message.
enum DocumentFrameKind: UInt8 {
    /// To the caller: a manifest without secrets.
    case header = 0x48
    /// To the caller: the names of what was sealed, one a line.
    case sealedNames = 0x4e
    /// The document with every value sealed.
    case document = 0x4d
    /// To the caller: the names in a document, one a line.
    case names = 0x4c
    /// To the caller: the data key of the document as age files, a recipient and Base64 a line.
    case wrappedKeys = 0x4b
    /// From the caller: the secrets that values are for, one a line.
    case targets = 0x54
    /// To the caller: how many values are sealed and how many there are, one a line.
    case progress = 0x50
    /// To the caller: sealed values, each with a line feed behind it.
    case values = 0x56
    /// To the caller: code, message and hint of an error, one a line.
    case failure = 0x45
    /// To the editing process: where to edit and with what.
    case request = 0x51
    /// To the caller: it can be edited there.
    case ready = 0x52
    /// To the caller: what could not be done, and the error number.
    case refusal = 0x58
    /// To the editing process: the secrets as they are stored, sealed.
    case base = 0x42
    /// To the editing process: offer what was sent last.
    case edit = 0x57
    /// To the caller: how the editor ended, in a word and a number.
    case editorFailure = 0x46
}

extension DocumentFrame {
    init(_ error: StoreError) {
        self.init(.failure, "\(error.code)\n\(error.message)\n\(error.hint ?? "")")
    }

    /// The error in a message of kind `failure`.
    var error: StoreError {
        let lines = text.split(separator: "\n", maxSplits: 2, omittingEmptySubsequences: false)
        let code = StoreError.Code.allCases.first { "\($0)" == lines.first ?? "" } ?? .failed
        let hint = lines.count > 2 && !lines[2].isEmpty ? String(lines[2]) : nil
        return StoreError(code, lines.count > 1 ? String(lines[1]) : "the helper process failed", hint: hint)
    }
}
