// SPDX-License-Identifier: Apache-2.0

internal import AuditLog
internal import SecretStore
internal import SecureJSON

/// Report of the readers of secrets as text and as JSON.
enum AccessReportText {
    /// Lines for people; what the log says is made visible, so that no name can move a cursor.
    static func plain(_ report: AccessReport) -> String {
        var lines: [String] = []
        for secret in report.secrets {
            lines.append("\(secret.name): \(counts { secret.count($0) })")
            for use in secret.uses {
                let times = use.first == use.last ? use.first : "\(use.first) to \(use.last)"
                lines.append("  \(use.isNew ? "new: " : "")\(name(use.reader)): \(counts { use.count($0) }), \(times)")
                lines += use.jobs.map { "    in \($0)" }
            }
        }
        if report.secrets.isEmpty { lines.append("nobody opened a secret") }
        if !report.unread.isEmpty { lines.append("not read: \(report.unread.joined(separator: ", "))") }
        let shells = report.readByShellsOnly
        if !shells.isEmpty { lines.append("read by shells only: \(shells.joined(separator: ", "))") }
        return lines.map { Console.visible($0) + "\n" }.joined()
    }

    /// Name of a reader.
    static func name(_ reader: AccessReport.Reader) -> String {
        let program = reader.executable ?? "unknown program"
        let shown = reader.command.map { "credfs \($0), run by \(program)" } ?? program
        return "\(shown) (\(reader.user)\(reader.unit.map { ", \($0)" } ?? ""))"
    }

    /// Numbers of attempts by outcome, without those that are 0.
    static func counts(_ count: (AccessReport.Outcome) -> UInt64) -> String {
        let parts = AccessReport.Outcome.allCases.compactMap { outcome -> String? in
            let number = count(outcome)
            guard number > 0 else { return nil }
            switch outcome {
            case .granted: return Count.pluralized(Int(clamping: number), "read")
            case .denied: return "\(number) denied"
            case .wouldDeny: return "\(number) would be denied"
            case .failed: return "\(number) failed"
            }
        }
        return parts.joined(separator: ", ")
    }

    /// The document of `--json`.
    static func json(_ report: AccessReport) -> String {
        JSONOutput.text([
            "since": .string(orNull: report.since),
            "previous": .string(orNull: report.previous),
            "unread": .array(report.unread.map { .string($0) }),
            "secrets": .array(report.secrets.map(value)),
        ])
    }

    private static func value(_ secret: AccessReport.Secret) -> JSONValue {
        .object([
            "name": .string(secret.name),
            "shellsOnly": .boolean(secret.isReadByShellsOnly),
            "readers": .array(
                secret.uses.map { use in
                    .object([
                        "executable": .string(orNull: use.reader.executable),
                        "unit": .string(orNull: use.reader.unit),
                        "user": .string(use.reader.user),
                        "command": .string(orNull: use.reader.command),
                        "granted": .integer(use.count(.granted)),
                        "denied": .integer(use.count(.denied)),
                        "wouldDeny": .integer(use.count(.wouldDeny)),
                        "failed": .integer(use.count(.failed)),
                        "first": .string(use.first),
                        "last": .string(use.last),
                        "new": .boolean(use.isNew),
                        "jobs": .array(use.jobs.map { .string($0) }),
                    ])
                }
            ),
        ])
    }
}
