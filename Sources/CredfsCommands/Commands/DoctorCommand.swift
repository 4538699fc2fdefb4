// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import HostChecks
internal import SecretStore
internal import SecureFiles
internal import SecureJSON

/// The command `credfs doctor`.
struct DoctorCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check this host: what works, what does not, and how to fix it.",
        discussion: """
            Looks at FUSE, namespaces, memory, swap, core files, the clock, the store's permissions and expiry, git, and \
            mounts that were left behind, and prints a line for each, with how to fix it. Needs no key and no terminal. \
            Exits 1 if there is a problem; with --strict also if there is a warning.

            EXAMPLES:
              credfs doctor
              credfs doctor --fix                        # modes and stale mounts
              credfs doctor --strict --json
            """
    )
    static let operation = OperationEvent.Operation.doctor

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions

    @Flag(help: "Repair the modes of the store, and detach mounts whose process has gone.")
    var fix = false

    @Flag(help: "Fail on warnings, too.")
    var strict = false

    @Flag(help: "Print JSON.")
    var json = false

    func run(_ context: CommandContext) throws {
        let host = context.host
        let request = request(context)
        let repair = fix ? Doctor.repair(host, request) : nil
        let report = Doctor.examine(host, request)
        context.store = report.manifest?.store
        if let repair { tell(repair, context) }

        let (problems, warnings) = (report.count(.problem), report.count(.warning))
        let isOK = problems == 0 && (!strict || warnings == 0)
        if json {
            try context.console.output(JSONOutput.diagnosis(report, isOK: isOK))
        } else {
            let shown = report.findings.filter { !options.quiet || $0.status != .ok }
            try context.console.output(shown.map(Self.lines).joined())
        }
        guard isOK else {
            let message = [(problems, "problem"), (strict ? warnings : 0, "warning")]
                .filter { $0.0 > 0 }.map { Count.pluralized($0.0, $0.1) }.joined(separator: ", ")
            throw CommandError(.failed, message, hint: "each has a line in the report that says how to fix it")
        }
    }

    private func request(_ context: CommandContext) -> StoreRequest {
        let variables = ["CREDFS_STORE", "CREDFS_MANIFEST"].compactMap(context.environment)
        return StoreRequest(
            location: Result { () throws(StoreError) in try options.location(context) },
            isNamed: options.store != nil || options.manifest != nil || variables.contains { !$0.isEmpty },
            isStrict: context.checker.isStrict,
            configuration: Result { () throws(StoreError) in try options.configuration(context) }
        )
    }

    /// Tells and records what was repaired.
    private func tell(_ repair: Doctor.Repair, _ context: CommandContext) {
        for note in repair.modes { context.console.note(note) }
        for exposure in repair.exposures { context.console.warning(exposure) }
        for note in repair.modes + repair.exposures {
            context.recorder.record(OperationEvent(.permissions, status: .success, reason: note, store: context.store))
        }
        for note in repair.mounts { context.console.note(note) }
        for failure in repair.failures { context.console.warning(failure) }
    }

    private static func lines(_ finding: Finding) -> String {
        let status = finding.status.rawValue.padded(to: 8)
        let line = "\(status) \(finding.check.rawValue.padded(to: 16)) \(Console.visible(finding.message))\n"
        guard let fix = finding.fix else { return line }
        return line + "".padded(to: 9) + "hint:".padded(to: 17) + Console.visible(fix) + "\n"
    }
}

extension JSONOutput {
    /// The document of `doctor --json`.
    fileprivate static func diagnosis(_ report: Doctor.Report, isOK: Bool) -> String {
        text([
            "ok": .boolean(isOK),
            "checks": .array(
                report.findings.map { finding in
                    .object([
                        "check": .string(finding.check.rawValue), "status": .string(finding.status.rawValue),
                        "message": .string(finding.message), "fix": .string(orNull: finding.fix),
                    ])
                }
            ),
        ])
    }
}
