// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser

/// Labels of a job for the audit log: what its CI system says of it, and what `--label` adds.
///
/// A process sets its environment to anything: these are claims, which lead people from an open to the step of a pipeline.
enum JobLabels {
    /// Most labels of `--label`.
    static let maximumCount = 32
    /// Longest value in bytes; a longer one is cut.
    static let maximumByteCount = 256

    /// Variables of a CI system.
    ///
    /// Each is named here, since others of theirs hold tokens.
    private struct System {
        let name: String
        /// Variable that this system always sets.
        let mark: String
        let variables: [(label: String, variable: String)]
    }

    private static let systems = [
        // docs.github.com, "Variables reference"; Gitea and Forgejo set them, too.
        System(
            name: "github",
            mark: "GITHUB_ACTIONS",
            variables: [
                ("repository", "GITHUB_REPOSITORY"), ("workflow", "GITHUB_WORKFLOW"), ("job", "GITHUB_JOB"),
                ("step", "GITHUB_ACTION"), ("run", "GITHUB_RUN_ID"), ("attempt", "GITHUB_RUN_ATTEMPT"),
                ("ref", "GITHUB_REF"), ("commit", "GITHUB_SHA"), ("actor", "GITHUB_ACTOR"),
            ]
        ),
        // docs.gitlab.com, "Predefined CI/CD variables reference".
        System(
            name: "gitlab",
            mark: "GITLAB_CI",
            variables: [
                ("repository", "CI_PROJECT_PATH"), ("job", "CI_JOB_NAME"), ("step", "CI_JOB_STAGE"),
                ("run", "CI_JOB_ID"), ("pipeline", "CI_PIPELINE_ID"), ("ref", "CI_COMMIT_REF_NAME"),
                ("commit", "CI_COMMIT_SHA"), ("actor", "GITLAB_USER_LOGIN"),
            ]
        ),
        // buildkite.com, "Environment variables".
        System(
            name: "buildkite",
            mark: "BUILDKITE",
            variables: [
                ("repository", "BUILDKITE_PIPELINE_SLUG"), ("job", "BUILDKITE_LABEL"), ("step", "BUILDKITE_STEP_KEY"),
                ("run", "BUILDKITE_JOB_ID"), ("pipeline", "BUILDKITE_BUILD_NUMBER"), ("ref", "BUILDKITE_BRANCH"),
                ("commit", "BUILDKITE_COMMIT"), ("actor", "BUILDKITE_BUILD_CREATOR"),
            ]
        ),
        // jenkins.io, "Using environment variables".
        System(
            name: "jenkins",
            mark: "JENKINS_URL",
            variables: [
                ("job", "JOB_NAME"), ("step", "STAGE_NAME"), ("run", "BUILD_NUMBER"), ("ref", "BRANCH_NAME"),
                ("commit", "GIT_COMMIT"),
            ]
        ),
    ]

    /// Collects the labels of a job; those that a person gave win.
    static func collect(_ given: [JobLabel], environment: (String) -> String?) -> [String: String] {
        var labels: [String: String] = [:]
        if let system = systems.first(where: { environment($0.mark).map { !$0.isEmpty } ?? false }) {
            labels["ci"] = system.name
            for (label, variable) in system.variables {
                if let value = environment(variable), !value.isEmpty { labels[label] = cut(value) }
            }
        }
        for label in given { labels[label.key] = cut(label.value) }
        return labels
    }

    private static func cut(_ text: String) -> String {
        guard text.utf8.count > maximumByteCount else { return text }
        var count = 0
        return String(
            text.prefix { character in
                count += character.utf8.count
                return count <= maximumByteCount
            }
        )
    }
}

/// Label in an argument: `KEY=VALUE`.
struct JobLabel {
    let key: String
    let value: String

    /// Reads an argument.
    ///
    /// - Throws: `ValidationError` with the form that it must have.
    static func parse(_ argument: String) throws -> JobLabel {
        guard let label = JobLabel(argument) else {
            throw ValidationError(
                "--label takes KEY=VALUE: a key of a-z, 0-9, '-', '_' and '.' (at most 64 bytes), and a value that is not empty."
            )
        }
        return label
    }

    private init?(_ argument: String) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, (1...64).contains(parts[0].utf8.count), !parts[1].isEmpty,
            parts[0].utf8.allSatisfy(Self.isKeyByte)
        else { return nil }
        (key, value) = (parts[0], parts[1])
    }

    private static func isKeyByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."): true
        default: false
        }
    }
}
