// SPDX-License-Identifier: Apache-2.0

import Credentials

/// The questions that are put to `matches`, and to a comparison that is known to tell.
struct MatchesTiming {
    /// As long as a common token.
    private static let byteCount = 64

    let trials: Int

    /// Asks everything and prints the answers.
    ///
    /// - Returns: whether every answer is as it must be.
    func run() throws -> Bool {
        let right = (0..<Self.byteCount).map { UInt8(truncatingIfNeeded: 37 &* $0 &+ 11) }
        var early = right
        early[0] ^= 1
        var late = right
        late[Self.byteCount - 1] ^= 1
        let guesses = [early, late]

        var answers: [Bool] = []
        var place = right
        func ask(_ question: String, _ isConstant: Bool, _ run: (Span<UInt8>) -> Bool) {
            let comparison = Comparison(trials: trials) { inputClass in
                for index in place.indices { place[index] = guesses[inputClass][index] }
            } run: {
                run(place.span)
            }
            answers.append(report(question, comparison, isConstant))
        }

        let secret = try Secret(copying: right.span)
        ask("matches, first or last byte wrong", true) { secret.matches($0) }
        ask("control: stop at the first difference", false) { Self.naive(right.span, $0) }

        // The same guess against a short and a long secret.
        let short = try Secret(copying: [UInt8](repeating: 1, count: 16).span)
        let long = try Secret(copying: [UInt8](repeating: 1, count: 3900).span)
        let chosen = SharedChoice(short, long)
        let lengths = Comparison(trials: trials) {
            chosen.index = $0
        } run: {
            chosen.matches(right.span)
        }
        answers.append(report("matches, secret of 16 or 3900 bytes", lengths, true))
        let hashing = Comparison(trials: trials / 10) {
            chosen.index = $0
        } run: {
            chosen.matchesByItself()
        }
        answers.append(report("control: work that grows with the secret", hashing, false))
        return answers.allSatisfy { $0 }
    }

    private func report(_ question: String, _ comparison: Comparison, _ isConstant: Bool) -> Bool {
        let value = comparison.largestT
        let differs = abs(value) > Comparison.bound
        let rounded = (abs(value) * 100).rounded() / 100
        let finding = differs ? "a difference" : "no measurable difference"
        let verdict = differs == isConstant ? "WRONG" : "as it must be"
        print("\(question): |t| \(rounded), medians \(comparison.medianDifference) ns apart: \(finding), \(verdict)")
        return differs != isConstant
    }

    /// What most programs do.
    @inline(never)
    private static func naive(_ secret: Span<UInt8>, _ guess: Span<UInt8>) -> Bool {
        guard secret.count == guess.count else { return false }
        for index in secret.indices where secret[index] != guess[index] { return false }
        return true
    }
}

/// Two secrets, one of which is asked.
private final class SharedChoice {
    private let secrets: [SharedSecret]
    var index = 0

    init(_ one: consuming Secret, _ other: consuming Secret) {
        secrets = [SharedSecret(one), SharedSecret(other)]
    }

    @inline(never)
    func matches(_ guess: Span<UInt8>) -> Bool {
        secrets[index].matches(guess)
    }

    /// A comparison whose candidate is as long as the secret.
    @inline(never)
    func matchesByItself() -> Bool {
        secrets[index].withBytes { secrets[index].matches($0) }
    }
}
