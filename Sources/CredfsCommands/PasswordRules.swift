// SPDX-License-Identifier: Apache-2.0

/// Rules for a new password: long enough and not one that guessing starts with.
enum PasswordRules {
    /// The smallest number of characters.
    static let minimumCharacterCount = 12

    /// Tells what is wrong with a password.
    ///
    /// - Returns: nil if nothing is.
    static func objection(to password: Span<UInt8>) -> String? {
        var characters = 0
        for index in password.indices where password[index] & 0xc0 != 0x80 { characters += 1 }
        if characters < minimumCharacterCount { return "a password needs at least \(minimumCharacterCount) characters" }
        if hasFewDifferentBytes(password) || isRepetition(password) || isSequence(password) || isCommon(password) {
            return "the password is among the first that are guessed"
        }
        return nil
    }

    private static func hasFewDifferentBytes(_ password: Span<UInt8>) -> Bool {
        // A bit for each byte: no copy of the password.
        var seen: InlineArray<4, UInt64> = [0, 0, 0, 0]
        for index in password.indices { seen[Int(password[index] >> 6)] |= 1 << UInt64(password[index] & 63) }
        return seen[0].nonzeroBitCount + seen[1].nonzeroBitCount + seen[2].nonzeroBitCount + seen[3].nonzeroBitCount < 5
    }

    private static func isRepetition(_ password: Span<UInt8>) -> Bool {
        for period in 1...max(1, password.count / 2) {
            var repeats = true
            for index in password.indices where index >= period && password[index] != password[index - period] {
                repeats = false
                break
            }
            if repeats { return true }
        }
        return false
    }

    /// Neighbours in the alphabet or on a row of digits, upwards or downwards.
    private static func isSequence(_ password: Span<UInt8>) -> Bool {
        var steps = 0
        for index in password.indices.dropFirst() {
            let step = Int(password[index]) - Int(password[index - 1])
            // 9 is followed by 0.
            if abs(step) == 1 || abs(step) == 9 { steps += 1 }
        }
        return steps >= password.count - 2
    }

    /// A common word and then only digits and signs.
    private static func isCommon(_ password: Span<UInt8>) -> Bool {
        commonWords.contains { word in
            guard password.count >= word.utf8.count else { return false }
            for (index, character) in word.utf8.enumerated() where password[index] | 0x20 != character | 0x20 {
                return false
            }
            for index in word.utf8.count..<password.count where (0x61...0x7a).contains(password[index] | 0x20) {
                return false
            }
            return true
        }
    }

    private static let commonWords = [
        "password", "passwort", "passw0rd", "p@ssword", "p@ssw0rd", "qwertyuiop", "qwerty", "letmein", "welcome",
        "iloveyou", "administrator", "admin", "changeme", "secret", "1q2w3e4r5t6y", "correcthorsebatterystaple",
    ]
}
