// SPDX-License-Identifier: Apache-2.0

internal import Jobs
internal import SecretStore
internal import SecureMemory
internal import SystemCalls

/// Assignment `NAME=VARIABLE` in an argument.
struct VariableAssignment {
    let secret: SecretName
    let variable: VariableName

    /// Reads arguments and lists of them; `isName` tells a name with a comma from a list.
    static func parse(
        _ arguments: [String],
        option: String,
        usual: ((SecretName) -> VariableName)?,
        _ isName: (SecretName) -> Bool
    ) throws -> [VariableAssignment] {
        try ArgumentList.items(arguments) { text in
            (try? parse(text, option: option, usual: usual)).map { isName($0.secret) } ?? false
        }
        .map { try parse($0, option: option, usual: usual) }
    }

    /// Reads `NAME` or `NAME=VARIABLE`; a name may contain `=`, a variable may not.
    private static func parse(
        _ text: String,
        option: String,
        usual: ((SecretName) -> VariableName)?
    ) throws -> VariableAssignment {
        if let mark = text.lastIndex(of: "=") {
            guard let variable = VariableName(String(text[text.index(after: mark)...])), !variable.isReserved else {
                throw CommandError(.usage, "\(option) takes NAME=VARIABLE; the variable is not one that can be given")
            }
            let secret = try AdmissionOptions.name(String(text[..<mark]))
            return VariableAssignment(secret: secret, variable: variable)
        }
        guard let usual else { throw CommandError(.usage, "\(option) takes NAME=VARIABLE") }
        let secret = try AdmissionOptions.name(text)
        return VariableAssignment(secret: secret, variable: usual(secret))
    }
}

/// The values that somebody asked to have in the environment of a job.
enum ValueVariables {
    /// The size of an entry of an environment with its zero byte (MAX_ARG_STRLEN of Linux).
    private static let maximumByteCount = 32 * Memory.pageSize

    /// Opens the values into one block of entries, each ended by a zero byte.
    static func block(_ assignments: [VariableAssignment], _ admission: Admission) throws -> SecureBuffer {
        guard let secrets = admission.secrets else {
            return try StoreError.locking { () throws(SecureMemoryError) in try SecureBuffer(count: 0) }
        }
        var parts: [(assignment: VariableAssignment, entry: SecretEntry)] = []
        var count = 0
        for assignment in assignments {
            guard let entry = secrets.entry(assignment.secret) else { continue }
            parts.append((assignment, entry))
            let byteCount = secrets.byteCount(of: entry)
            let length = assignment.variable.text.utf8.count + 2 + byteCount
            guard length <= Self.maximumByteCount else {
                throw CommandError(
                    .invalid,
                    "the value of '\(assignment.secret.text)' has \(byteCount) bytes, "
                        + "more than the kernel takes in a variable",
                    hint: "let the job read its file"
                )
            }
            count += length
        }
        var block = try StoreError.locking { () throws(SecureMemoryError) in try SecureBuffer(count: count) }
        var filled = 0
        for (assignment, entry) in parts {
            append((assignment.variable.text + "=").utf8.span, to: &block, at: &filled)
            if secrets.hasContent(entry) {
                let start = filled
                try secrets.readParts(of: entry) { part in
                    append(part, to: &block, at: &filled)
                }
                let holdsZero = block.withBytes { bytes in
                    for index in start..<filled where bytes[index] == 0 { return true }
                    return false
                }
                guard !holdsZero else {
                    throw CommandError(
                        .invalid,
                        "the value of '\(assignment.secret.text)' has a zero byte, which no variable can hold",
                        hint: "let the job read its file"
                    )
                }
            }
            filled += 1
        }
        return block
    }

    private static func append(_ bytes: Span<UInt8>, to block: inout SecureBuffer, at filled: inout Int) {
        let start = filled
        block.withMutableBytes { target in
            for index in bytes.indices { target[start + index] = bytes[index] }
        }
        filled += bytes.count
    }
}
