// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import SecretStore

/// Option for the labels of what reads secrets: a job, or whatever uses a mount.
struct LabelOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Record a label of the job in the audit log, beside what its CI says of it (repeatable).",
            valueName: "key=value"
        ),
        transform: JobLabel.parse
    )
    var label: [JobLabel] = []

    func validate() throws {
        guard label.count <= JobLabels.maximumCount else {
            throw ValidationError("--label can be given \(JobLabels.maximumCount) times.")
        }
    }

    /// The entry that opens of a mount refer to; nil where nothing is known of a job.
    func event(_ context: CommandContext) -> OperationEvent? {
        var job = OperationEvent.Subjects()
        job.mount = context.subjects.mount
        job.labels = JobLabels.collect(label, environment: context.environment)
        return job.labels.isEmpty ? nil : OperationEvent(.job, job, status: .success, store: context.store)
    }
}

extension LabelOptions: ScannedOptions {
    mutating func scan(_ scanner: inout OptionScanner) throws {
        label = try scanner.texts("label").map(JobLabel.parse)
        try validate()
    }
}
