// SPDX-License-Identifier: Apache-2.0

/// Secret of a manifest: its value and attributes.
package struct SecretEntry: Sendable, Equatable {
    /// Content under `value` or `template`.
    package enum Value: Sendable, Equatable {
        /// Nothing yet: `value: ""`.
        case empty
        case sealed(SealedValue)
        /// Plaintext or a broken sealed value, at a line and column. The bytes are not kept.
        case unsealed(TextPosition)
        /// Content that is rendered when it is read.
        case template(Template)
    }

    /// Forms that content can be required to have.
    package enum Format: String, Sendable, CaseIterable {
        case text
        case json
        case hex32
        case pem
        case base64
    }

    /// Treatment of a trailing newline when a value enters.
    package enum Newline: String, Sendable, CaseIterable {
        /// Every byte stays.
        case exact
        /// One newline at the end is removed.
        case strip
        /// There is a newline at the end.
        case ensure
    }

    /// The permission bits of the rendered file.
    package enum Mode: String, Sendable, CaseIterable {
        case ownerOnly = "0400"
        case ownerAndGroup = "0440"
    }

    package var name: SecretName
    package var value: Value = .empty
    /// Description for people; one line.
    package var description: String?
    /// Requirement of a value: a store without one here is rejected.
    package var required = false
    /// The form of the content; nil means any bytes.
    package var format: Format?
    /// Expiry: the secret is not accepted from then on.
    package var expires: Timestamp?
    /// Time of the last change of the value.
    package var rotated: Timestamp?
    package var newline = Newline.exact
    /// The service, for a name that was given as SERVICE/KEY.
    package var service: String?
    /// The permission bits of the rendered file.
    package var mode = Mode.ownerOnly
    package var policy: ReadPolicy?
    package var rotation: RotationRule?

    /// Makes an entry without a value.
    package init(name: SecretName) {
        self.name = name
    }

    /// Template of a rendered file; nil for any other secret.
    package var template: Template? {
        if case .template(let template) = value { template } else { nil }
    }

    /// Decides whether it has not expired.
    package func isCurrent(at now: Timestamp) -> Bool { expires.map { $0 > now } ?? true }
}

/// Position in a text, counted from 1.
package struct TextPosition: Sendable, Equatable {
    package let line: Int
    package let column: Int

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }
}

/// Access policy of a mounted secret; an absent rule allows.
package struct ReadPolicy: Sendable, Equatable {
    /// A program that may read.
    package struct Executable: Sendable, Equatable {
        package var path: String
        /// The SHA-256 of its content, 64 lower-case hexadecimal digits.
        package var sha256: String?

        package init(path: String, sha256: String? = nil) {
            self.path = path
            self.sha256 = sha256
        }
    }

    /// Processes that may read at all.
    package enum Callers: String, Sendable, CaseIterable {
        /// Members of the job's process tree.
        case job
        /// Processes of the user who mounted.
        case owner
        case any
    }

    package var executables: [Executable] = []
    package var uids: [UInt32] = []
    /// Names of systemd units, and identifiers of containers (64 hexadecimal digits).
    package var units: [String] = []
    package var callers: Callers?
    /// Number of opens that are granted.
    package var maxReads: UInt64?
    package var notBefore: Timestamp?
    package var notAfter: Timestamp?
    /// Answer ENOENT for a refused caller, as if there were no such file.
    package var hidden = false
    /// Placeholder: a refused caller reads `credfs-placeholder:NAME` in place of an error.
    package var placeholder = false
    /// Decoy: any open raises an alarm.
    package var decoy = false

    package init() {}
}

/// Rotation of a secret: a period and the command that makes new values.
package struct RotationRule: Sendable, Equatable {
    /// The period, an integer and ms, s, m, h, d or w.
    package var every: String
    /// The command and its arguments; it writes the new value to its standard output.
    package var command: [String]

    package init(every: String, command: [String]) {
        self.every = every
        self.command = command
    }
}
