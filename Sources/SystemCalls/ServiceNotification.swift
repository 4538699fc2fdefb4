// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// Connection to the service manager that started this process (sd_notify(3)).
package struct ServiceNotification: ~Copyable {
    private let sender: DatagramSender

    /// Connects; a process that serves may not do that any more.
    ///
    /// - Parameter name: the value of NOTIFY_SOCKET: a path, or an abstract name that begins with `@`.
    /// - Throws: the error of socket(2) or connect(2).
    package init(to name: String) throws(Errno) {
        sender = try DatagramSender(to: name)
    }

    /// Sends lines of assignments such as `READY=1`; never blocks.
    ///
    /// - Throws: the error of send(2).
    package func send(_ state: String) throws(Errno) {
        try sender.send(Array(state.utf8))
    }
}
