// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureJSON
internal import SecureMemory

/// Input of an operation.
struct AWSInput {
    let operation: String
    let text: String

    init(_ operation: String, _ members: [String: JSONValue?]) {
        self.operation = operation
        text = JSONValue.object(members.compactMapValues { $0 }).text(.line)
    }
}

/// Service of AWS that has secrets: what its operations are called, and what they answer.
protocol AWSSecretKind: Sendable {
    /// Most secrets of one request.
    var batchLimit: Int { get }
    /// The largest answer in bytes.
    var answerLimit: Int { get }
    /// Key of the secrets of a listing.
    var itemsKey: String { get }
    /// What rights have to allow for a listing.
    var listingRight: String { get }
    /// What rights have to allow for a value.
    var right: String { get }

    /// Input for a part of the secrets below a prefix, with their values.
    func listing(_ prefix: String, after token: String?) -> AWSInput

    /// Parts of what is asked for that one request can ask for.
    func batches(_ ids: [AWSSecretID]) -> [[AWSSecretID]]

    /// Input for the values of one such part.
    func request(_ ids: [AWSSecretID]) -> AWSInput

    /// Finds the value of a secret in the answer.
    func value(
        of id: AWSSecretID,
        among ids: [AWSSecretID],
        in document: SecretDocument
    ) -> Result<HandedValues.Value, ProviderError>

    /// Bytes of a value; nil where there are none.
    func content(of value: HandedValues.Value) throws(ProviderError) -> SecureBuffer?
}

/// Parameter Store of Systems Manager.
struct AWSParameters: AWSSecretKind {
    let batchLimit = 10
    let answerLimit = 1 << 20
    let itemsKey = "Parameters"
    let listingRight = "ssm:GetParametersByPath, and kms:Decrypt of their key"
    let right = "ssm:GetParameters, and kms:Decrypt of the key"

    func listing(_ prefix: String, after token: String?) -> AWSInput {
        let path = prefix == "/" ? prefix : String(prefix.dropLast())
        return AWSInput(
            "GetParametersByPath",
            [
                "Path": .string(path), "Recursive": .boolean(false), "WithDecryption": .boolean(true),
                "MaxResults": .number("10"), "NextToken": token.map { .string($0) },
            ]
        )
    }

    /// No two versions of one parameter, which an answer might not tell apart.
    func batches(_ ids: [AWSSecretID]) -> [[AWSSecretID]] {
        var batches: [[AWSSecretID]] = []
        for id in ids {
            let index = batches.firstIndex { batch in
                batch.count < batchLimit && !batch.contains { $0.base == id.base }
            }
            if let index { batches[index].append(id) } else { batches.append([id]) }
        }
        return batches
    }

    func request(_ ids: [AWSSecretID]) -> AWSInput {
        AWSInput(
            "GetParameters",
            ["Names": .array(ids.map { .string($0.text) }), "WithDecryption": .boolean(true)]
        )
    }

    func value(
        of id: AWSSecretID,
        among ids: [AWSSecretID],
        in document: SecretDocument
    ) -> Result<HandedValues.Value, ProviderError> {
        for item in document.elements(itemsKey, of: document.root) {
            let names = [document.text("Name", of: item), document.text("ARN", of: item)].compactMap(\.self)
            if names.contains(id.base) || names.contains(id.text) {
                return .success(HandedValues.Value(document: document, item: item))
            }
        }
        return .failure(ProviderError(.notFound, "AWS knows no such parameter"))
    }

    func content(of value: HandedValues.Value) throws(ProviderError) -> SecureBuffer? {
        guard let text = value.document.member("Value", of: value.item) else { return nil }
        return try value.document.content(of: text)
    }
}

/// Secrets Manager.
struct AWSSecrets: AWSSecretKind {
    let batchLimit = 20
    /// Some secrets of the largest size; where there are more, each is asked for by itself.
    let answerLimit = 1 << 22
    let itemsKey = "SecretValues"
    let listingRight =
        "secretsmanager:BatchGetSecretValue, ListSecrets and GetSecretValue, and kms:Decrypt of their key"
    let right = "secretsmanager:GetSecretValue, and kms:Decrypt of the key"

    func listing(_ prefix: String, after token: String?) -> AWSInput {
        let filter = JSONValue.object(["Key": .string("name"), "Values": .array([.string(prefix)])])
        return AWSInput(
            "BatchGetSecretValue",
            ["Filters": .array([filter]), "MaxResults": .number("20"), "NextToken": token.map { .string($0) }]
        )
    }

    /// A version is asked for by itself.
    func batches(_ ids: [AWSSecretID]) -> [[AWSSecretID]] {
        let plain = ids.filter { $0.version == nil }
        let batches = stride(from: 0, to: plain.count, by: batchLimit).map { Array(plain[$0...].prefix(batchLimit)) }
        return batches + ids.filter { $0.version != nil }.map { [$0] }
    }

    func request(_ ids: [AWSSecretID]) -> AWSInput {
        guard ids.count == 1 else {
            return AWSInput("BatchGetSecretValue", ["SecretIdList": .array(ids.map { .string($0.base) })])
        }
        let version = ids[0].version
        // A version has the form of a UUID, a stage has not.
        let isNumber = version.map { $0.utf8.count == 36 && $0.split(separator: "-").count == 5 } ?? false
        return AWSInput(
            "GetSecretValue",
            [
                "SecretId": .string(ids[0].base),
                "VersionId": isNumber ? version.map { .string($0) } : nil,
                "VersionStage": isNumber ? nil : version.map { .string($0) },
            ]
        )
    }

    func value(
        of id: AWSSecretID,
        among ids: [AWSSecretID],
        in document: SecretDocument
    ) -> Result<HandedValues.Value, ProviderError> {
        guard ids.count > 1 else { return .success(HandedValues.Value(document: document, item: document.root)) }
        for item in document.elements(itemsKey, of: document.root) {
            let arn = document.text("ARN", of: item) ?? ""
            // An ARN may be given without the six characters that AWS adds.
            if document.text("Name", of: item) == id.base || arn == id.base || arn.hasPrefix("\(id.base)-") {
                return .success(HandedValues.Value(document: document, item: item))
            }
        }
        for item in document.elements("Errors", of: document.root)
        where document.text("SecretId", of: item) == id.base {
            let failure = AWSFailure(code: document.text("ErrorCode", of: item) ?? "")
            return .failure(failure.error(right))
        }
        return .failure(ProviderError(.notFound, "AWS knows no such secret"))
    }

    func content(of value: HandedValues.Value) throws(ProviderError) -> SecureBuffer? {
        let document = value.document
        if let text = document.member("SecretString", of: value.item) { return try document.content(of: text) }
        guard let bytes = document.member("SecretBinary", of: value.item) else { return nil }
        return try document.decodedContent(of: bytes)
    }
}
