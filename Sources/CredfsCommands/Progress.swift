// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SystemCalls

/// Progress of long work, on a terminal; silent elsewhere and for what is short.
final class Progress {
    private static let width = 30
    /// Time before a bar is worth it.
    private static let patience = Duration.milliseconds(200)
    private static let interval = Duration.milliseconds(50)

    private let title: String
    private let isShown: Bool
    private var next: ContinuousClock.Instant
    private var isVisible = false

    init(_ title: String, _ console: Console) {
        self.title = title
        isShown = console.verbosity != .quiet && isatty(Console.standardError) == 1
        next = .now + Self.patience
    }

    /// Tells how many of how many are done.
    func update(_ done: Int, of count: Int) {
        guard isShown, ContinuousClock.now >= next, count > 0 else { return }
        next = .now + Self.interval
        isVisible = true
        let filled = Self.width * done / count
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: Self.width - filled)
        write("\rcredfs: \(title) [\(bar)] \(done)/\(count)")
    }

    /// Takes the bar away.
    func end() {
        if isVisible { write("\r\u{1b}[K") }
        isVisible = false
    }

    deinit { end() }

    private func write(_ text: String) {
        // A bar that cannot be shown is no failure.
        try? writeAll(Console.standardError, text.utf8.span)
    }
}
