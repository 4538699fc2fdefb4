// SPDX-License-Identifier: Apache-2.0

import ProcessControl
import SystemCalls
import SystemPackage
import Testing

/// What credfs and its helper processes tell each other.
@Suite struct HelperProtocolTests {
    private enum Kind: UInt8, Sendable {
        case question = 0x51
        case answer = 0x41
    }

    private enum Step: String, Sendable {
        case first
        case second = "second-one"
    }

    private func frames(of bytes: [UInt8], count: Int) throws -> [Frame<Kind>?] {
        let pipe = try OwnedDescriptor.pipe()
        try pipe.write.writeAll(bytes.span)
        let input = pipe.ends { (read, _) in read }
        var frames: [Frame<Kind>?] = []
        for _ in 0..<count { frames.append(try Frame.read(from: input)) }
        return frames
    }

    private func bytes(of frames: [Frame<Kind>]) throws -> [UInt8] {
        let pipe = try OwnedDescriptor.pipe()
        for frame in frames { try frame.write(to: pipe.write.number) }
        let input = pipe.ends { (read, _) in read }
        return try input.readFully(upTo: 1 << 16)
    }

    @Test func framesArriveAsTheyWereSent() throws {
        let sent = [
            Frame<Kind>(.question, "one\n\ntwo\n"), Frame(.answer),
            Frame(.answer, [UInt8](repeating: 0xff, count: 9000)),
        ]
        let read = try frames(of: bytes(of: sent), count: 4)
        #expect(read.prefix(3).map { $0?.bytes } == sent.map(\.bytes))
        #expect(read.prefix(3).map { $0?.kind } == [.question, .answer, .answer])
        #expect(read[3] == nil)
        #expect(sent[0].lines == ["one", "two"])
        // No helper of ours writes it.
        #expect(sent[2].text.isEmpty)
    }

    @Test func whatIsNoFrameIsTheEnd() throws {
        let whole = try bytes(of: [Frame<Kind>(.question, "text")])
        for count in 0..<whole.count {
            #expect(try frames(of: Array(whole.prefix(count)), count: 1)[0] == nil, "\(count) bytes")
        }
        #expect(try frames(of: [0x20, 0, 0, 0, 0], count: 1)[0] == nil)
        // Longer than any: refused before memory is taken for it.
        #expect(try frames(of: [0x51, 0xff, 0xff, 0xff, 0xff, 1], count: 1)[0] == nil)
    }

    @Test func aFailedStepArrivesAsItWasSent() {
        let failure = StepFailure(Step.second, .permissionDenied)
        #expect(failure.words == "second-one 13")
        #expect(StepFailure<Step>(words: failure.words) == failure)
        for text in ["", "first", "first x", "third 1", "first 1 2", " first 1", "first  1", "first 99999999999"] {
            #expect(StepFailure<Step>(words: text) == nil, "\(text)")
        }
        let thrown = #expect(throws: StepFailure<Step>.self) {
            try StepFailure<Step>.attempt(.first) { () throws(Errno) in throw .ioError }
        }
        #expect(thrown == StepFailure(.first, .ioError))
    }

    @Test func whatWasInheritedArrivesAsItWas() {
        let inherited = ProcessHardening.Inherited(ignoredSignals: [1, 13], softCoreLimit: 0, hardCoreLimit: .max)
        #expect(inherited.words == ["1,13", "0", String(UInt.max)])
        #expect(ProcessHardening.Inherited(words: inherited.words) == inherited)
        let none = ProcessHardening.Inherited(ignoredSignals: [], softCoreLimit: 1, hardCoreLimit: 2)
        #expect(ProcessHardening.Inherited(words: none.words) == none)
        for words in [[], ["", "1"], ["", "x", "1"], ["", "1", "-1"], ["", "1", "1", "1"]] {
            #expect(ProcessHardening.Inherited(words: words) == nil, "\(words)")
        }
    }
}
