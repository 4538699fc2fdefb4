// SPDX-License-Identifier: Apache-2.0

package import SystemCalls

/// Source where a credential is looked for.
///
/// Of several places the first whose file exists decides: a file that exists and is refused is an error, never a reason
/// to look further. So does a variable that is set: the file it names must be there.
public struct CredentialSource: Sendable, Hashable {
    private indirect enum Kind: Hashable {
        case file(String, directory: String?)
        case variable(String, defaultPath: String?)
        case systemd(String)
        case first([CredentialSource])
    }

    private let kind: Kind

    private init(_ kind: Kind) {
        self.kind = kind
    }

    /// A file.
    ///
    /// - Parameters:
    ///   - path: an absolute path or one relative to `directory` (without one, to the working directory).
    ///   - directory: the directory that the file must lie in, at any depth, once `..` and symbolic links are resolved;
    ///     without one, the directory part of `path`.
    /// - Returns: the source.
    public static func file(_ path: String, within directory: String? = nil) -> CredentialSource {
        CredentialSource(.file(path, directory: directory))
    }

    /// The file that the variable `NAME_FILE` names, as in docker's official images and under `credfs run`.
    ///
    /// - Parameters:
    ///   - name: the name without `_FILE`; `api-token` and `API_TOKEN` both mean `API_TOKEN_FILE`.
    ///   - path: the file to read where the variable is not set or empty.
    /// - Returns: the source.
    public static func variable(_ name: String, default path: String? = nil) -> CredentialSource {
        CredentialSource(.variable(variableName(for: name), defaultPath: path))
    }

    /// A credential of a systemd unit or of `credfs run`: `$CREDENTIALS_DIRECTORY/NAME`.
    public static func systemdCredential(_ name: String) -> CredentialSource {
        CredentialSource(.systemd(name))
    }

    /// The first of several places that has a file.
    public static func firstExisting(_ sources: [CredentialSource]) -> CredentialSource {
        CredentialSource(.first(sources))
    }

    /// The usual places of a name: `$NAME_FILE`, `$CREDENTIALS_DIRECTORY/NAME`, `/run/secrets/NAME`.
    public static func standard(_ name: String) -> CredentialSource {
        .firstExisting([.variable(name), .systemdCredential(name), .file(name, within: "/run/secrets")])
    }

    /// One file to look at.
    struct Candidate {
        let path: String
        let directory: String?
        /// Name of the place in an error, beside its path.
        let name: String?
        /// Somebody chose this very file, so that its absence is an error.
        let isDecisive: Bool
    }

    /// Lookup of variables: the process environment, or a table in tests.
    package typealias Environment = @Sendable (String) -> EnvironmentVariables.Value

    package static let processEnvironment: Environment = { EnvironmentVariables.secureValue($0) }

    /// The files to look at, in order.
    func candidates(_ environment: Environment) throws(CredentialsError) -> [Candidate] {
        switch kind {
        case .file(let path, let directory):
            return [Candidate(path: path, directory: directory, name: nil, isDecisive: false)]
        case .variable(let variable, let defaultPath):
            if let path = try Self.absolutePath(variable, environment) {
                return [Candidate(path: path, directory: nil, name: "$\(variable)", isDecisive: true)]
            }
            guard let defaultPath else { return [] }
            return [Candidate(path: defaultPath, directory: nil, name: nil, isDecisive: false)]
        case .systemd(let name):
            guard Self.isCredentialName(name) else {
                throw CredentialsError(.pathNotAllowed, name: name, reason: "not a credential name")
            }
            guard let directory = try Self.absolutePath("CREDENTIALS_DIRECTORY", environment) else { return [] }
            return [Candidate(path: name, directory: directory, name: name, isDecisive: false)]
        case .first(let sources):
            var all: [Candidate] = []
            for source in sources { all += try source.candidates(environment) }
            return all
        }
    }

    /// The path of a source that is one file.
    var path: String? {
        guard case .file(let path, let directory) = kind else { return nil }
        guard let directory, path.utf8.first != UInt8(ascii: "/") else { return path }
        return "\(directory)/\(path)"
    }

    /// Label of the credential in an error where nothing was found.
    var label: String {
        switch kind {
        case .file: path ?? ""
        case .variable(let variable, let path): "$\(variable)" + (path.map { ", \($0)" } ?? "")
        case .systemd(let name): name
        case .first(let sources): sources.map(\.label).joined(separator: ", ")
        }
    }

    /// The variable of a name: upper case, what is not of [A-Z0-9_] becomes `_`, no digit first.
    static func variableName(for name: String) -> String {
        var result = ""
        for byte in name.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"): result.unicodeScalars.append(Unicode.Scalar(byte - 32))
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default: result += "_"
            }
        }
        if let first = result.utf8.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) {
            result = "_" + result
        }
        return result + "_FILE"
    }

    /// systemd's rule: 1 to 255 printable ASCII bytes without `/` and `:`, not `.` or `..`.
    private static func isCredentialName(_ name: String) -> Bool {
        (1...255).contains(name.utf8.count) && name != "." && name != ".."
            && name.utf8.allSatisfy {
                (0x20...0x7e).contains($0) && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":")
            }
    }

    /// The value is not part of the error: a variable that should hold a path may hold the secret itself.
    private static func absolutePath(
        _ variable: String,
        _ environment: Environment
    ) throws(CredentialsError) -> String? {
        switch environment(variable) {
        case .unset, .text(""): return nil
        case .text(let path) where path.utf8.first == UInt8(ascii: "/"): return path
        case .text, .notUTF8:
            throw CredentialsError(.pathNotAllowed, name: "$\(variable)", reason: "must hold an absolute path")
        }
    }
}
