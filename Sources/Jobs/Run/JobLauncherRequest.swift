// SPDX-License-Identifier: Apache-2.0

internal import ProcessHardening
internal import SystemCalls

/// What the entrance process is told, as its arguments: nothing of it is secret.
package struct JobLauncherRequest: Sendable, Equatable {
    /// The descriptor of its message socket.
    var socket: Int32
    /// The process that it must not outlive before it has become the job.
    var parent: Int32
    var plan: Job.MountPlan
    var allowsCore: Bool
    var inherited: ProcessHardening.Inherited
    /// Whether the job gets PATH, by which its program is found.
    var givesPath: Bool
    /// Where the job begins.
    var workingDirectory: String

    private static let fixedCount = 16

    /// The arguments, without the program's name and mode.
    package var arguments: [String] {
        let options = plan.options
        let fixed: [String] = [
            String(socket), String(parent), plan.isolation.rawValue, plan.backend.rawValue, plan.jobs, plan.name,
            String(options.maximumReadByteCount), String(options.user), String(options.group),
            String(options.allowOther), String(allowsCore),
            inherited.ignoredSignals.map { String($0) }.joined(separator: ","), String(inherited.softCoreLimit),
            String(inherited.hardCoreLimit), String(givesPath), workingDirectory,
        ]
        return fixed + [String(plan.maskedPaths.count)] + plan.maskedPaths
    }

    /// Reads the arguments.
    ///
    /// - Returns: the request and how many arguments it took; nil where they are none.
    package static func parse(_ words: [String]) -> (request: JobLauncherRequest, count: Int)? {
        guard words.count > fixedCount, let socket = Int32(words[0]), let parent = Int32(words[1]),
            let isolation = Isolation(rawValue: words[2]), let backend = Backend(rawValue: words[3]),
            let maximum = Int(words[6]), let user = UInt32(words[7]), let group = UInt32(words[8]),
            let allowsOther = Bool(words[9]), let allowsCore = Bool(words[10]), let soft = UInt(words[12]),
            let hard = UInt(words[13]), let givesPath = Bool(words[14]), let maskedCount = Int(words[fixedCount]),
            maskedCount >= 0, words.count - fixedCount - 1 >= maskedCount
        else { return nil }
        let end = fixedCount + 1 + maskedCount
        var options = FuseMount.Options(user: user, group: group, maximumReadByteCount: maximum)
        options.allowOther = allowsOther
        let request = JobLauncherRequest(
            socket: socket,
            parent: parent,
            plan: Job.MountPlan(
                isolation: isolation,
                backend: backend,
                jobs: words[4],
                name: words[5],
                options: options,
                maskedPaths: Array(words[fixedCount + 1..<end])
            ),
            allowsCore: allowsCore,
            inherited: ProcessHardening.Inherited(
                ignoredSignals: words[11].split(separator: ",").compactMap { Int32($0) },
                softCoreLimit: soft,
                hardCoreLimit: hard
            ),
            givesPath: givesPath,
            workingDirectory: words[15]
        )
        return (request, end)
    }
}

/// What the entrance process says.
package enum JobLauncherAnswer: Sendable, Equatable {
    /// The secrets can be served; a descriptor comes with it.
    case ready
    /// What it was doing failed with an error number.
    case failed(step: JobLauncherStep, errno: Int32)

    package var bytes: [UInt8] {
        switch self {
        case .ready: Array("ready".utf8)
        case .failed(let step, let errno): Array("failed \(step.rawValue) \(errno)".utf8)
        }
    }

    package init?(_ bytes: [UInt8]) {
        let words = String(decoding: bytes, as: UTF8.self).split(separator: " ").map(String.init)
        if words == ["ready"] {
            self = .ready
        } else if words.count == 3, words[0] == "failed", let step = JobLauncherStep(rawValue: words[1]),
            let errno = Int32(words[2])
        {
            self = .failed(step: step, errno: errno)
        } else {
            return nil
        }
    }
}

/// What the entrance process does, one thing after the other.
package enum JobLauncherStep: String, Sendable {
    case namespace
    case memory
    case device
    case mount
    case cover
    case workingDirectory = "working-directory"
    case restore
    case program

    /// What failed, for people.
    var action: String {
        switch self {
        case .namespace: "make a private namespace"
        case .memory: "mount a file system in memory"
        case .device: "open /dev/fuse"
        case .mount: "mount in a private namespace"
        case .cover: "hide the store from the job"
        case .workingDirectory: "enter the working directory"
        case .restore: "give the job what credfs was started with"
        case .program: "run the program"
        }
    }
}
