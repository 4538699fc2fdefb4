// SPDX-License-Identifier: Apache-2.0

// Built, never run: what a program writes with no import but this one. Were a type of a lower module part of the public
// interface, this would not compile under MemberImportVisibility.
internal import Credentials

/// Everything a service does with credentials.
func serve(presented: Span<UInt8>, message: Span<UInt8>) throws(CredentialsError) -> Bool {
    let policy = FilePolicy(
        permissions: .groupReadable,
        symbolicLinks: .kubernetes,
        maximumByteCount: 4096,
        allowsEmpty: false
    )
    let source = CredentialSource.firstExisting([
        .variable("API_TOKEN", default: "/run/secrets/api_token"), .systemdCredential("api_token"),
        .file("api_token", within: "/run/secrets"), .standard("api_token"),
    ])
    let token = try Secret(from: source, newline: .stripOne, policy: policy)
    let other = try Secret(contentsOfFile: "/run/secrets/other", newline: .exact)
    guard token.matches(presented), token.matches("text"), token.matches(other) else { return false }

    let root = try SecretKey(hexDigitsFrom: source, policy: .standard)
    let key = try SecretKey.derive(from: root, domain: "example.com/signature/v1")
    let code = try key.hmacSHA256(of: message)
    return key.isValidHMACSHA256(code.span, of: message) && root.withBytes { $0.count } == SecretKey.byteCount
}

/// A secret in a property of a copyable type, in a collection and in a closure.
struct Service: Sendable {
    let tokens: [String: SharedSecret]
    let check: @Sendable (String) -> Bool

    init(_ secret: consuming Secret) {
        let shared = SharedSecret(secret)
        tokens = ["token": shared]
        check = { shared.matches($0) }
    }
}

/// A store that is loaded, watched and asked how it is.
func watch() throws -> [String] {
    let store = try CredentialStore([
        Credential("api-token", aliases: ["API_TOKEN"]),
        Credential(
            "database",
            from: .file("/run/secrets/database"),
            format: .json,
            isRequired: false,
            policy: .kubernetes
        ),
    ])
    guard try store.reloadIfChanged() else { return store.health().filter { !$0.isHealthy }.map(\.description) }
    let database = try store.snapshot.secret("database")
    let password = try database.secret.jsonSecret("users", 0, "password")
    let port = try database.secret.jsonInteger("port")
    return [try password.withUTF8String { "\(port):\($0.count)" }]
}

/// Errors are told apart by code, in a switch that new codes cannot break.
func explain(_ error: CredentialsError) -> String {
    switch error.code {
    case .fileNotFound, .credentialNotFound: "mount the secret: \(error)"
    case .permissionsTooOpen: "chmod 0600 \(error.path ?? ""): \(error.mode ?? 0), \(error.expectedMode ?? 0)"
    case .memoryUnavailable: "raise LimitMEMLOCK: \(error.errorNumber ?? 0)"
    default: "\(error.code): \(error.name ?? "") \(error.reason ?? "")"
    }
}
