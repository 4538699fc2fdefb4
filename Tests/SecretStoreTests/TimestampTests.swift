// SPDX-License-Identifier: Apache-2.0

import Sealing
import SecretStore
import Testing

@Suite struct TimestampTests {
    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0), ("2026-11-21T07:11:00Z", 1_795_245_060), ("2000-02-29T23:59:59Z", 951_868_799),
        ("9999-12-31T23:59:59Z", 253_402_300_799),
    ])
    func textAndSecondsAreTheSame(_ text: String, _ seconds: Int64) {
        #expect(Timestamp(text)?.seconds == seconds)
        #expect(Timestamp(seconds: seconds).text == text)
    }

    @Test(arguments: [
        "", "2026-11-21", "2026-11-21T07:11:00", "2026-11-21T07:11:00z", "2026-11-21t07:11:00Z",
        "2026-11-21T07:11:00+00:00", "2026-11-21T07:11:00.0Z", "2026-02-31T00:00:00Z", "2025-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:60Z", "1969-12-31T23:59:59Z", "2026-11-2 T07:11:00Z", "+026-11-21T07:11:00Z",
        "2026-11-21 07:11:00Z",
    ])
    func everyOtherFormIsRefused(_ text: String) {
        #expect(Timestamp(text) == nil)
    }

    @Test func timesAreOrdered() {
        #expect(Timestamp(seconds: 1) < Timestamp(seconds: 2))
        #expect(Timestamp.now() > Timestamp(seconds: 1_700_000_000))
    }
}

@Suite struct StoreIDTests {
    @Test func aNewIdentityIsARandomUUIDOfVersionFour() throws {
        let one = try StoreID.random()
        #expect(try StoreID.random() != one)
        #expect(StoreID(one.text) == one)
        let characters = Array(one.text)
        #expect(characters[14] == "4")
        #expect("89ab".contains(characters[19]))
    }

    @Test(arguments: [
        "", "4b4e4f8dd170419cab6b7654438ac1b1", "4B4E4F8D-d170-419c-ab6b-7654438ac1b1",
        "4b4e4f8d-d170-419c-ab6b-7654438ac1b", "4b4e4f8d-d170-419c-ab6b-7654438ac1bg",
        "4b4e4f8d-d170-419c-ab6b07654438ac1b1",
    ])
    func otherFormsAreRefused(_ text: String) {
        #expect(StoreID(text) == nil)
    }
}

@Suite struct HexadecimalTests {
    @Test func bytesComeBack() {
        let bytes = [UInt8](0...255)
        #expect(Base16.bytes(Base16.text(bytes)) == bytes)
        #expect(Base16.text([0x0f, 0xa0]) == "0fa0")
    }

    @Test(arguments: ["0", "0G", "AB", " 0", "0x"])
    func onlyPairsOfLowerCaseDigitsAreRead(_ text: String) {
        #expect(Base16.bytes(text) == nil)
    }
}
