// SPDX-License-Identifier: Apache-2.0

/// Turnstile that lets a few through at a time: Swift Testing starts every test at once, and a machine has only so many
/// processors.
package actor Turnstile {
    /// For programs that tests start and wait for.
    package static let ofProcesses = Turnstile(width: 6)

    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    /// Makes a turnstile.
    package init(width: Int) {
        free = width
    }

    /// Runs a body as one of the few.
    package nonisolated func pass<R>(_ body: () async throws -> R) async throws -> R {
        await enter()
        do {
            let result = try await body()
            await leave()
            return result
        } catch {
            await leave()
            throw error
        }
    }

    private func enter() async {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    private func leave() {
        if waiting.isEmpty {
            free += 1
        } else {
            waiting.removeFirst().resume()
        }
    }
}
