// SPDX-License-Identifier: Apache-2.0

import AuditLog
import CredfsTestSupport
import Sealing
import Testing

@Suite struct KeyRatchetTests {
    private func ratchet(at sequence: UInt64 = 1) throws -> KeyRatchet {
        let root = [UInt8](0..<32)
        let ratchet = try KeyRatchet(root: Key256(copying: root.span))
        try ratchet.advance(to: sequence)
        return ratchet
    }

    private func code(_ ratchet: KeyRatchet) throws -> String {
        Hexadecimal.encode(try ratchet.code(of: Array("body".utf8).span))
    }

    /// Computed with the HKDF and HMAC of Python's `cryptography` and `hmac`.
    @Test(arguments: [
        (1, "2a160a0b2ba4cf1a47952ea72c202851b9a1f16b7b6a2b8d8388561093eba139"),
        (2, "4cea82bee6d37915679a8f71cc7104f94b13a228a2c1782e91c6358cc195d25f"),
        (4096, "d0a9247045463497cc3f52abe234efe69edef6f423d4af58b39d15b474c2f886"),
        (4097, "bebd1098f05969f1347292e66b7bce926b68ace343f4082f93d8c044cb314fa7"),
        (10_000, "8c3fba9872ba4d35e7c525b4529543157210ba3ff690c5ce2a0ad7c5a2d01d53"),
    ])
    func theCodesAreThoseOfTheDescription(sequence: Int, wanted: String) throws {
        #expect(try code(ratchet(at: UInt64(sequence))) == wanted)
    }

    @Test func everyWayToAnEntryGivesItsKey() throws {
        let steps = try ratchet()
        var checked = 0
        for sequence in UInt64(1)...9000 {
            if [1, 2, 4095, 4096, 4097, 4098, 8192, 8193, 9000].contains(sequence) {
                let jump = try ratchet(at: sequence)
                #expect(jump.isEqual(to: steps))
                let copy = try jump.copy()
                #expect(try code(copy) == code(steps))
                checked += 1
            }
            try steps.advance()
        }
        #expect(checked == 9)
    }

    @Test func noTwoEntriesShareAKey() throws {
        let ratchet = try ratchet()
        var codes: Set<String> = []
        for _ in 0..<5000 {
            codes.insert(try code(ratchet))
            try ratchet.advance()
        }
        #expect(codes.count == 5000)
    }

    @Test func anEntryBeforeTheKeysIsNotReached() throws {
        let ratchet = try ratchet(at: 5000)
        try ratchet.advance(to: 3)
        #expect(ratchet.sequence == 5000)
    }
}
