// SPDX-License-Identifier: Apache-2.0

internal import Foundation

/// Runs a function that may wait for another: the threads that tests share must not be kept by it.
package func onItsOwnThread<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
    }
}
