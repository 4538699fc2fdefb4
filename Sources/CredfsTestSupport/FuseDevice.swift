// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Synchronization

/// `/dev/fuse` for everybody, as most systems have it, as long as one of these lives.
package final class FuseDeviceForEverybody: Sendable {
    /// Failure of a test's own means.
    package enum Failure: Error {
        case notChanged(errno: Int32)
    }

    private struct State {
        var users = 0
        var mode: mode_t = 0
    }

    private static let path = "/dev/fuse"
    private static let state = Mutex(State())

    /// Opens the device up.
    package init() throws(Failure) {
        let error = Self.state.withLock { state -> Int32 in
            if state.users == 0 {
                var status = stat()
                guard unsafe stat(Self.path, &status) == 0, unsafe chmod(Self.path, 0o666) == 0 else { return errno }
                state.mode = status.st_mode & 0o7777
            }
            state.users += 1
            return 0
        }
        guard error == 0 else { throw .notChanged(errno: error) }
    }

    deinit {
        Self.state.withLock { state in
            state.users -= 1
            if state.users == 0 { _ = unsafe chmod(Self.path, state.mode) }
        }
    }
}
