// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Two classes of inputs, measured turn about in random order.
///
/// The method is dudect's (Reparaz, Balasch, Verbauwhede: "Dude, is my code constant time?", 2017): Welch's t-test on the
/// times of two classes, whole and with the slowest measurements cut off, since interrupts make the tail.
struct Comparison {
    /// Beyond this |t| two means differ (the bound of the TVLA procedure; chance exceeds it once in 10^5 tests).
    static let bound = 4.5
    /// The parts of the measurements that are looked at, fastest first.
    private static let shares = [1.0, 0.99, 0.9, 0.75, 0.5]

    private var times: [[UInt64]] = [[], []]

    /// Measures.
    ///
    /// - Parameters:
    ///   - trials: the number of measurements, about half of them in each class.
    ///   - prepare: makes the input of a class ready, in the same memory for both; not measured.
    ///   - run: what is measured.
    init(trials: Int, prepare: (Int) -> Void, run: () -> Bool) {
        var random = SystemRandomNumberGenerator()
        var bits: UInt64 = 0
        for list in times.indices { times[list].reserveCapacity(trials) }
        var kept = 0
        for trial in 0..<trials {
            if trial % 64 == 0 { bits = random.next() }
            let inputClass = Int(bits & 1)
            bits >>= 1
            prepare(inputClass)
            let start = Self.now()
            let result = run()
            let end = Self.now()
            times[inputClass].append(end - start)
            kept += result ? 1 : 0
        }
        // The result is used, so that nothing of it can be left out.
        precondition(kept == 0 || kept == trials, "both classes get the same answer")
    }

    /// The difference of the medians in nanoseconds, second class less first.
    var medianDifference: Double {
        let medians = times.map { list in Double(list.sorted()[list.count / 2]) }
        return medians[1] - medians[0]
    }

    /// The t of the share where the classes differ most.
    var largestT: Double {
        let all = (times[0] + times[1]).sorted()
        var largest = 0.0
        for share in Self.shares {
            let limit = all[min(all.count - 1, Int(Double(all.count) * share))]
            let value = Self.welch(times[0].filter { $0 <= limit }, times[1].filter { $0 <= limit })
            if abs(value) > abs(largest) { largest = value }
        }
        return largest
    }

    private static func welch(_ one: [UInt64], _ other: [UInt64]) -> Double {
        let (mean1, spread1) = moments(one)
        let (mean2, spread2) = moments(other)
        let error = (spread1 / Double(one.count) + spread2 / Double(other.count)).squareRoot()
        return error == 0 ? 0 : (mean2 - mean1) / error
    }

    private static func moments(_ list: [UInt64]) -> (mean: Double, variance: Double) {
        let mean = list.reduce(0.0) { $0 + Double($1) } / Double(list.count)
        let squares = list.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) }
        return (mean, squares / Double(max(1, list.count - 1)))
    }

    private static func now() -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC_RAW, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
