// SPDX-License-Identifier: Apache-2.0

internal import ProcessControl
internal import SystemCalls

/// Request to the launcher of a job, as its arguments: nothing of it is secret.
package struct JobLauncherRequest: Sendable, Equatable {
    /// The descriptor of its message socket.
    var socket: Int32
    /// The process that it must not outlive before it has become the job.
    var parent: Int32
    var plan: Job.MountPlan
    var allowsCore: Bool
    var inherited: ProcessHardening.Inherited
    /// PATH goes to the job; its program is found by it.
    var givesPath: Bool
    /// Working directory of the job; empty keeps this one.
    var workingDirectory: String
    /// User that the program runs as; nil for the one of credfs.
    var user: JobUser?

    private static let fixedCount = 17

    /// The arguments, without the program's name and mode.
    package var arguments: [String] {
        let options = plan.options
        let fixed: [String] = [
            String(socket), String(parent), plan.isolation.rawValue, plan.backend.rawValue, plan.jobs, plan.name,
            String(options.maximumReadByteCount), String(options.user), String(options.group),
            String(options.allowOther), String(allowsCore),
            String(givesPath), workingDirectory, user?.word ?? "",
        ]
        return fixed + inherited.words + [String(plan.maskedPaths.count)] + plan.maskedPaths
    }

    /// Reads the arguments.
    ///
    /// - Returns: the request and how many arguments it took; nil where they are none.
    package static func parse(_ words: [String]) -> (request: JobLauncherRequest, count: Int)? {
        guard words.count > fixedCount, let socket = Int32(words[0]), let parent = Int32(words[1]),
            let isolation = Isolation(rawValue: words[2]), let backend = Backend(rawValue: words[3]),
            let maximum = Int(words[6]), let user = UInt32(words[7]), let group = UInt32(words[8]),
            let allowsOther = Bool(words[9]), let allowsCore = Bool(words[10]), let givesPath = Bool(words[11]),
            let inherited = ProcessHardening.Inherited(words: words[14..<fixedCount]),
            let account = JobUser.optional(word: words[13]),
            let maskedCount = Int(words[fixedCount]), maskedCount >= 0, words.count - fixedCount - 1 >= maskedCount
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
            inherited: inherited,
            givesPath: givesPath,
            workingDirectory: words[12],
            user: account
        )
        return (request, end)
    }
}
