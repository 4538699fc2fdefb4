// SPDX-License-Identifier: Apache-2.0

package import ProcessControl
internal import SystemCalls
internal import SystemPackage

/// Answer of the launcher of a job.
package enum JobLauncherAnswer: Sendable, Equatable {
    /// The secrets can be served; a descriptor comes with it.
    case ready
    /// A step failed.
    case failed(StepFailure<JobLauncherStep>)

    package var bytes: [UInt8] {
        switch self {
        case .ready: Array("ready".utf8)
        case .failed(let failure): Array("failed \(failure.words)".utf8)
        }
    }

    package init?(_ bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self)
        if text == "ready" {
            self = .ready
        } else if text.hasPrefix("failed "), let failure = StepFailure<JobLauncherStep>(words: text.dropFirst(7)) {
            self = .failed(failure)
        } else {
            return nil
        }
    }
}

/// Step of the launcher, one after the other.
package enum JobLauncherStep: String, Sendable {
    case start
    case namespace
    case memory
    case device
    case mount
    case cover
    case workingDirectory = "working-directory"
    case restore
    case user
    case program

    /// Name of the step for people, after "cannot".
    var action: String {
        switch self {
        case .start: "start the job"
        case .namespace: "make a private namespace"
        case .memory: "mount a file system in memory"
        case .device: "open /dev/fuse"
        case .mount: "mount in a private namespace"
        case .cover: "hide the store from the job"
        case .workingDirectory: "enter the working directory"
        case .restore: "give the job what credfs was started with"
        case .user: "become the user of the job"
        case .program: "run the program"
        }
    }

    /// Another isolation may help.
    var concernsIsolation: Bool { [.namespace, .memory, .device, .mount].contains(self) }
}

extension StepFailure<JobLauncherStep> {
    /// Message for people.
    var message: String { "cannot \(step.action): \(errno.message)" }

    /// Next step, where there is one.
    var hint: String? {
        switch (step, errno) {
        case (.user, .notPermitted):
            "that takes the capabilities CAP_SETUID and CAP_SETGID: see whether a container or unit takes them away"
        case (.user, .invalidArgument): "the user namespace maps no such user or group: cat /proc/self/uid_map"
        default: nil
        }
    }
}
