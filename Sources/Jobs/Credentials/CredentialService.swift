// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
package import SecretFileSystem
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// Server of credentials of units, on a socket that the service manager listens on and hands over.
package final class CredentialService {
    private static let byteCount = 16 << 10

    private let socket: ActivatedSocket
    private let signals: SignalQueue
    /// The locked memory that values pass through.
    package let buffers: ReadBuffers

    /// Takes the socket over; from here on signals are collected.
    ///
    /// - Parameter environment: the variables of the service manager.
    /// - Throws: class `usage` where this process was started with no such socket, or `failed`.
    package init(environment: (String) -> String?) throws(MountError) {
        let socket: ActivatedSocket?
        do throws(Errno) { socket = try ActivatedSocket(environment: environment) } catch {
            throw MountError.system(.failed, "take the socket over", error)
        }
        guard let socket else {
            throw MountError(
                .usage,
                "there is no socket to serve: the service manager starts this",
                hint: "systemctl enable --now credfs.socket"
            )
        }
        self.socket = socket
        do throws(Errno) { signals = try SignalQueue([SIGTERM, SIGINT, SIGHUP, SIGQUIT]) } catch {
            throw MountError.system(.failed, "collect signals", error)
        }
        do throws(SecureMemoryError) { buffers = try ReadBuffers(workerCount: 1, byteCount: Self.byteCount) } catch {
            throw MountError(
                .failed,
                "cannot get \(error.byteCount) bytes of locked memory: \(error.errno.message)",
                hint: "raise the limit of locked memory (ulimit -l)"
            )
        }
    }

    /// Gives up every right that serving does not need, then answers one call after the other.
    ///
    /// - Parameters:
    ///   - idle: returns when nobody has connected for so long; whoever connects later has it started again.
    ///   - answer: answers a call; what it does not send is an empty answer.
    /// - Throws: class `failed`.
    package func serve(idle: Duration, answer: (borrowing CredentialCall) -> Void) throws(MountError) {
        try ServingFilter.install(for: nil)
        do throws(Errno) {
            while true {
                // Each of the signals that are collected asks for the end.
                if try signals.next() != nil { return }
                if let connection = try socket.accept() {
                    if let call = try? CredentialCall(connection) { answer(call) }
                    continue
                }
                guard try signals.wait(or: [socket.descriptor.number], timeout: idle) else { return }
            }
        } catch { throw MountError.system(.failed, "wait for calls", error) }
    }
}
