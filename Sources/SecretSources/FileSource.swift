// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SecretStore

/// `file:[NAME=]PATH`: one file with a value.
struct FileSourceType: NamedFileSourceType {
    let scheme = "file"
    let isReadAgain = true

    func open(_ location: String, _ access: SourceAccess) throws -> any SecretSource {
        let place = try PathLocation(location)
        guard !place.isDirectory else {
            throw StoreError(.usage, "\(place.path) is a directory", hint: "name it as dir:PATH")
        }
        return try DirectorySource(place, PlainForm(), access)
    }
}

/// `age:[NAME=]PATH`: one file that age has encrypted, or a directory with `NAME.age` for each secret.
struct AgeSourceType: NamedFileSourceType {
    let scheme = "age"
    /// The identities are not kept by a server.
    let isReadAgain = false

    func open(_ location: String, _ access: SourceAccess) throws -> any SecretSource {
        try DirectorySource(PathLocation(location), AgeForm(identities: access.identities()), access)
    }
}

/// `fernet:[NAME=]PATH`: one file with a Fernet token, or a directory with one for each secret.
struct FernetSourceType: NamedFileSourceType {
    let scheme = "fernet"
    /// The key is not kept by a server.
    let isReadAgain = false

    func open(_ location: String, _ access: SourceAccess) throws -> any SecretSource {
        try DirectorySource(PathLocation(location), FernetForm(key: access.fernetKey()), access)
    }
}

/// `credential:[NAME=]PATH`: one credential that systemd-creds has encrypted for this host, or a directory of them.
struct CredentialSourceType: NamedFileSourceType {
    let scheme = "credential"
    let isReadAgain = true

    func open(_ location: String, _ access: SourceAccess) throws -> any SecretSource {
        let place = try PathLocation(location)
        let now = UInt64(max(0, time(nil))) * 1_000_000
        let form = CredentialForm(key: try access.hostKey(), name: place.name, now: now)
        return try DirectorySource(place, form, access)
    }
}
