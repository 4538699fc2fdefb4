// SPDX-License-Identifier: Apache-2.0

internal import SystemCalls
internal import SystemPackage

/// Trial of what a private mount needs, in a process that does nothing else and then ends.
package enum NamespaceTrial {
    /// Steps, in this order.
    package enum Step: String, Sendable, CaseIterable {
        /// Starting the process that tries.
        case start
        /// unshare(2), and the id map of a user namespace.
        case namespace
        /// Keeping mounts from being seen outside.
        case privacy
        /// mount(2).
        case mount
    }

    /// Failure of a step.
    package typealias Failure = StepFailure<Step>

    /// Enters namespaces and mounts in them: an empty file system, and a FUSE file system if its device can be opened.
    ///
    /// Nothing outside this process changes, and all of it is gone with the process. It has to have one thread.
    ///
    /// - Parameter withUser: whether a user namespace is entered, too.
    /// - Throws: what could not be done.
    package static func run(withUser: Bool) throws(Failure) {
        try Failure.attempt(.namespace) { () throws(Errno) in try Namespaces.unshare(users: withUser) }
        try Failure.attempt(.privacy) { () throws(Errno) in try Namespaces.makeSlave() }
        try Failure.attempt(.mount) { () throws(Errno) in
            let device = try? FuseMount.openDevice()
            try MemoryMount.mount(.tmpfs, at: "/", mode: 0o700)
            guard let device else { return }
            let options = FuseMount.Options(
                user: ProcessAttributes.effectiveUser,
                group: ProcessAttributes.effectiveGroup,
                maximumReadByteCount: 4096
            )
            try FuseMount.mount(device, at: "/", options)
        }
    }
}
