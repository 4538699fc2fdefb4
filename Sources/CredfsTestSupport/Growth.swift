// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The factor by which the processor time of a function grows from an input to one four times as large.
///
/// Near 4 for what is linear, near 16 for what is quadratic. Both sizes are measured in turns by the clock of this thread
/// (CLOCK_THREAD_CPUTIME_ID), which other load does not advance, and the quickest run of each counts.
///
/// - Parameters:
///   - count: the size of the smaller input.
///   - input: makes an input; not measured.
///   - body: is measured.
/// - Returns: the factor.
/// - Throws: what the functions throw.
package func growth<Input>(
    from count: Int,
    of input: (Int) throws -> Input,
    _ body: (Input) throws -> Void
) rethrows -> Double {
    let (small, large) = (try input(count), try input(count * 4))
    var quickest = (small: Double.infinity, large: Double.infinity)
    // Caches are shared with other load: a factor that seems too large is measured again.
    for round in 0..<16 {
        if round >= 4, quickest.large / quickest.small < linearGrowth { break }
        quickest.small = min(quickest.small, try processorTime { try body(small) })
        quickest.large = min(quickest.large, try processorTime { try body(large) })
    }
    return quickest.large / quickest.small
}

/// Between 4 and 16, in the geometric middle: what a linear function stays below.
package let linearGrowth = 8.0

/// A text that grows with a number: what a parser has to be linear in.
package struct GrowingText: Sendable, CustomStringConvertible {
    /// Text that is repeated in it.
    package let description: String
    /// The number of the smaller of two texts that are compared.
    package let count: Int
    private let text: @Sendable (Int) -> String

    /// Makes a kind of text.
    package init(_ description: String, count: Int, _ text: @escaping @Sendable (Int) -> String) {
        self.description = description
        self.count = count
        self.text = text
    }

    /// The factor by which the time of a function grows with this text.
    package func growth(_ body: ([UInt8]) -> Void) -> Double {
        CredfsTestSupport.growth(from: count, of: { Array(text($0).utf8) }, body)
    }
}

private func processorTime(_ body: () throws -> Void) rethrows -> Double {
    func now() -> Double {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
    let start = now()
    try body()
    return now() - start
}
