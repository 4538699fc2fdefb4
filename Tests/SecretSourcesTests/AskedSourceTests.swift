// SPDX-License-Identifier: Apache-2.0

import SecretProviders
import SecretSources
import SecretStore
import Synchronization
import SystemCalls
import Testing

@Suite struct AskedSourceTests {
    @Test func aValueIsAskedForOnceInItsTime() throws {
        let box = try SourceBox { $0.timeToLive = 100_000 }
        box.provider.say("A", "a")
        let sources = try box.sources("A")
        #expect(try sources.update())
        #expect(try box.values == ["A": "a"])
        for _ in 0..<5 { #expect(try !sources.update()) }
        #expect(box.provider.takeRequests() == [["A"]])
        // With 0.5 for a number from 0 to 1 the time is exact.
        box.clock.advance(99_999)
        try sources.update()
        #expect(box.provider.takeRequests().isEmpty)
        box.clock.advance(1)
        #expect(try !sources.update(), "the same value is no change")
        #expect(box.provider.takeRequests() == [["A"]])
        box.provider.say("A", "other")
        box.clock.advance(100_000)
        #expect(try sources.update())
        #expect(try box.values == ["A": "other"])
    }

    @Test(arguments: [(0.0, 90_000), (1.0, 110_000)]) func theTimeIsSpreadByATenth(_ random: Double, _ due: Int64)
        throws
    {
        let box = try SourceBox({ $0.timeToLive = 100_000 }, random: random)
        box.provider.say("A", "a")
        let sources = try box.sources("A")
        try sources.update()
        _ = box.provider.takeRequests()
        box.clock.advance(due - 1)
        try sources.update()
        #expect(box.provider.takeRequests().isEmpty)
        box.clock.advance(1)
        try sources.update()
        #expect(box.provider.takeRequests() == [["A"]])
    }

    @Test func aMissIsNeverRemembered() throws {
        let box = try SourceBox()
        box.provider.fail("A", .none)
        let sources = try box.sources("A")
        try sources.update()
        #expect(box.source.error(of: name("A"))?.kind == .notFound)
        box.provider.say("A", "a")
        // Whoever asks is not told what was so before.
        box.clock.advance(1)
        #expect(try sources.refresh([name("A")]).isEmpty)
        #expect(try box.values == ["A": "a"])
        // A secret that was taken away at its source goes.
        box.provider.fail("A", .none)
        box.clock.advance(1)
        let failures = try sources.refresh(nil)
        #expect(failures.map(\.error.kind) == [.notFound] && failures.map(\.isServed) == [false])
        #expect(try box.values.isEmpty)
    }

    @Test func aValueOfBeforeIsServedWhileTheSourceFails() throws {
        let box = try SourceBox {
            $0.timeToLive = 100_000
            $0.maximumStale = 1_000_000
        }
        box.provider.say("A", "a")
        box.provider.say("B", "b")
        let sources = try box.sources("A", "B")
        try sources.update()
        box.provider.fail("A", .down)
        box.clock.advance(100_000)
        #expect(try !sources.update())
        #expect(try box.values == ["A": "a", "B": "b"])
        #expect(box.source.staleError(of: name("A")) == .down && box.source.staleError(of: name("B")) == nil)
        #expect(box.source.facts.stale == 1 && box.source.facts.cached == 2)
        // One name that fails leaves the other served and unasked.
        _ = box.provider.takeRequests()
        for _ in 0..<5 {
            box.clock.advance(3000)
            try sources.update()
        }
        let asked = Set(box.provider.takeRequests().flatMap { $0 })
        #expect(asked == ["A"])
        // Not for ever.
        box.clock.advance(1_000_000)
        box.provider.say("B", "b")
        #expect(try sources.update())
        #expect(try box.values == ["B": "b"])
        #expect(box.source.error(of: name("A")) == .down)
        box.provider.say("A", "back")
        box.clock.advance(400_000)
        #expect(try sources.update())
        #expect(try box.values == ["A": "back", "B": "b"])
    }

    @Test func requestsAreBatched() throws {
        let box = try SourceBox(batchLimit: 10)
        let names = (0..<25).map { "N\($0 + 10)" }
        for name in names { box.provider.say(name, "v") }
        box.source.allow(names.map(name), except: [], [:])
        let sources = try AskedSources([box.source], cancel: try Doorbell.make())
        sources.use(box.keys)
        try sources.update()
        let requests = box.provider.takeRequests()
        #expect(requests.map(\.count) == [10, 10, 5] && requests.flatMap { $0 } == names)
    }

    @Test func whatCanBeBetteredIsAskedAgainWithJitterAndTheRestIsNot() throws {
        let box = try SourceBox({ $0.attempts = 4 }, random: 1)
        box.provider.say("A", "a")
        box.provider.fail("B", .down)
        box.provider.fail("C", ProviderError(.denied, "no"))
        box.provider.fail("D", .none)
        let sources = try box.sources("A", "B", "C", "D")
        try sources.update()
        #expect(box.provider.takeRequests() == [["A", "B", "C", "D"], ["B"], ["B"], ["B"]])
        #expect(box.clock.pauses.withLock { $0 } == [100, 200, 400])
        #expect(try box.values == ["A": "a"])
    }

    @Test func aSourceThatWantsToBeLeftAloneIs() throws {
        let box = try SourceBox({ $0.attempts = 4 }, random: 0)
        box.provider.fail("A", ProviderError(.throttled, "slow down", retryAfter: 2))
        let sources = try box.sources("A")
        try sources.update()
        // Within the five seconds of a request there is time for two more.
        #expect(box.clock.pauses.withLock { $0 } == [2000, 2000])
        #expect(box.provider.takeRequests().count == 3)
        box.provider.fail("A", ProviderError(.throttled, "slow down", retryAfter: 60))
        box.clock.advance(1_000_000)
        try sources.update()
        #expect(box.provider.takeRequests().count == 1)
        box.provider.say("A", "a")
        let failures = try sources.refresh([name("A")])
        #expect(failures.map(\.error.kind) == [.throttled] && box.provider.takeRequests().isEmpty)
        box.clock.advance(60_000)
        #expect(try sources.refresh([name("A")]).isEmpty)
    }

    @Test func aBucketLimitsRequests() throws {
        let box = try SourceBox(
            {
                $0.requestsPerSecond = 10
                $0.burst = 3
            },
            batchLimit: 1
        )
        let names = (0..<8).map { "N\($0)" }
        for name in names { box.provider.say(name, "v") }
        box.source.allow(names.map(name), except: [], [:])
        let sources = try AskedSources([box.source], cancel: try Doorbell.make())
        sources.use(box.keys)
        let began = box.clock.now
        try sources.update()
        #expect(try box.values.count == 8)
        // Three at once, five at ten a second.
        #expect(box.clock.now - began == 500)
    }

    @Test func aSourceThatDoesNotAnswerKeepsNobodyWaitingForTheRest() throws {
        let clock = ManualClock()
        let box = try SourceBox(batchLimit: 1, clock: clock) { clock.advance(5000) }
        let names = (0..<50).map { "N\($0)" }
        box.source.allow(names.map(name), except: [], [:])
        let sources = try AskedSources([box.source], cancel: try Doorbell.make())
        sources.use(box.keys)
        try sources.update()
        #expect(box.provider.takeRequests().count == 2)
        #expect(names.allSatisfy { box.source.error(of: name($0))?.kind == .unavailable })
    }

    @Test func ofManyWhoWantTheSameOneAsks() async throws {
        let gate = try Doorbell.make()
        let box = try SourceBox(onRequest: { gate.wait(milliseconds: 200) })
        box.provider.say("A", "a")
        let sources = try box.sources("A")
        try sources.update()
        _ = box.provider.takeRequests()
        box.clock.advance(1)
        let refreshed = Mutex(0)
        let threads = try (0..<8).map { _ in
            try OwnThread {
                if (try? sources.refresh([name("A")]).isEmpty) == true { refreshed.withLock { $0 += 1 } }
            }
        }
        for thread in threads { thread.join() }
        #expect(refreshed.withLock { $0 } == 8)
        #expect(box.provider.takeRequests().count <= 2)
    }

    @Test func theNextSourceIsAskedForWhatOneDoesNotHave() throws {
        let (top, bottom) = (try SourceBox(), try SourceBox())
        top.provider.say("A", "top")
        top.provider.fail("B", .none)
        top.provider.fail("C", .down)
        for name in ["A", "B", "C"] { bottom.provider.say(name, "bottom") }
        let names = ["A", "B", "C"].map(name)
        for box in [top, bottom] { box.source.allow(names, except: [], [:]) }
        let sources = try AskedSources([bottom.source, top.source], cancel: try Doorbell.make())
        sources.use(top.keys)
        try sources.update()
        #expect(top.source.entries.map(\.name.text) == ["A"])
        #expect(bottom.source.entries.map(\.name.text) == ["B", "C"])
        #expect(bottom.provider.takeRequests() == [["B", "C"]])
        #expect(sources.failure(of: name("B")) == nil || sources.failure(of: name("B"))?.isServed == false)
    }

    @Test func valuesAreGoneWithTheirKeys() throws {
        let box = try SourceBox()
        box.provider.say("A", "a")
        let sources = try box.sources("A")
        try sources.update()
        sources.forgetKeys()
        #expect(throws: StoreError.self) { try sources.update() }
        sources.use(box.keys)
        #expect(try box.values == ["A": "a"])
        sources.use(try SourceBox.makeKeys())
        #expect(box.source.entries.isEmpty)
    }

    @Test func aValueOfTheWrongFormatIsNoValue() throws {
        let box = try SourceBox()
        box.provider.say("A", "no json")
        box.source.allow([name("A")], except: [], [name("A"): .json])
        let sources = try AskedSources([box.source], cancel: try Doorbell.make())
        sources.use(box.keys)
        try sources.update()
        #expect(box.source.error(of: name("A")) == ProviderError(.invalid, "its value is not json"))
    }

    @Test func aListThatTakesAllOfTheTimeLeavesNoneForValues() throws {
        let clock = ManualClock()
        let box = try SourceBox({ $0.timeout = 5000 }, clock: clock, onRequest: { clock.advance(5000) })
        box.provider.listFailure.withLock { $0 = .down }
        box.provider.say("A", "a")
        let sources = try box.sources("A")
        try sources.update()
        #expect(box.provider.takeRequests().isEmpty && box.source.error(of: name("A")) == .down)
        // Whoever asks again is not told of it.
        clock.advance(1)
        #expect(try sources.refresh([name("A")]).isEmpty)
        #expect(try box.provider.takeRequests() == [["A"]] && box.values == ["A": "a"])
    }

    @Test func namesThatASourceListsAreAskedFor() throws {
        let box = try SourceBox { $0.timeToLive = 100_000 }
        box.provider.names.withLock { $0 = ["X", "Y/Z", "bad\u{1}"] }
        for name in ["X", "Y/Z", "Y.Z", "W"] { box.provider.say(name, "v") }
        let sources = try box.sources("OTHER")
        try sources.update()
        // What no secret can be called is left out, and not taken for another one.
        #expect(box.source.entries.map(\.name.text) == ["X"] && box.source.unusable == ["Y/Z", "bad\u{1}"])
        box.provider.names.withLock { $0 = ["X", "W"] }
        box.clock.advance(1)
        #expect(try sources.refresh(nil).isEmpty)
        #expect(box.source.entries.map(\.name.text) == ["W", "X"] && box.source.unusable.isEmpty)
    }
}

@Suite struct ManyNamesTests {
    @Test func ofTenThousandNamesEachIsLookedUpByItself() throws {
        let names = (0..<10_000).map { "N\($0)" }
        let box = try SourceBox(batchLimit: 1000)
        box.provider.names.withLock { $0 = names + ["NONE"] }
        for name in names { box.provider.say(name, "v") }
        box.provider.fail("NONE", .none)
        let sources = try box.sources()
        try sources.update()
        let began = ContinuousClock.now
        #expect(names.compactMap(SecretName.init).allSatisfy { sources.failure(of: $0) == nil })
        #expect(sources.failure(of: name("NONE"))?.error == .some(.none))
        #expect(ContinuousClock.now - began < .seconds(2), "quadratic, it takes many times as long")
    }
}

@Suite struct SourceAddressTests {
    @Test func settingsFollowTheQuestionMark() throws {
        var settings = AskedSettings()
        for (key, value) in [
            ("names", "A,B"), ("ttl", "60s"), ("max-stale", "2h"), ("timeout", "250ms"), ("newline", "exact"),
        ] { try settings.set(key, value) }
        #expect(settings.names == [name("A"), name("B")] && settings.timeToLive == 60_000)
        #expect(settings.maximumStale == 7_200_000 && settings.timeout == 250 && settings.keepsNewline)
        for text in [
            "exec:x?names=", "exec:x?other=1", "exec:x?ttl=1", "exec:x?", "exec:x?ttl=1s&ttl=2s", "exec:?names=A",
            "exec:", "exec:x?timeout=0s", "exec:x?newline=ensure", "exec:x?names=A,,B", "exec:x?names=A=value",
        ] where text != "exec:x?ttl=1" {
            #expect(throws: StoreError.self, "\(text)") { _ = try SourceAddress(text) }
        }
        #expect(AskedSettings.milliseconds("300") == 300_000 && AskedSettings.milliseconds("5m") == 300_000)
        #expect(AskedSettings.milliseconds("") == nil && AskedSettings.milliseconds("x") == nil)
    }

    @Test func messagesComeBack() throws {
        let error = ProviderError(.throttled, "slow\ndown", hint: "wait", retryAfter: 7)
        let kept = ProviderError(.throttled, "slow down", hint: "wait", retryAfter: 7)
        let messages: [(ProviderMessage, ProviderMessage)] = [
            (.list(deadline: -5), .list(deadline: -5)), (.fetch([], deadline: 1), .fetch([], deadline: 1)),
            (.fetch(["A", "B C"], deadline: 9), .fetch(["A", "B C"], deadline: 9)), (.names(nil), .names(nil)),
            (.names([]), .names([])), (.names(["A"]), .names(["A"])), (.failed(error), .failed(kept)),
            (.value("A", byteCount: 0), .value("A", byteCount: 0)), (.missing("A", error), .missing("A", kept)),
            (.end, .end),
        ]
        for (message, expected) in messages {
            let bytes = message.bytes
            let head = try #require(ProviderMessage.head(Array(bytes.prefix(ProviderMessage.headByteCount))))
            #expect(head.kind == message.kind && head.byteCount == bytes.count - ProviderMessage.headByteCount)
            let text = String(decoding: bytes.dropFirst(ProviderMessage.headByteCount), as: UTF8.self)
            #expect(ProviderMessage(head.kind, text) == expected)
        }
        #expect(ProviderMessage.head([9, 0, 0, 0, 0]) == nil && ProviderMessage.head([1, 0xff, 0, 0, 0]) == nil)
        for (kind, text) in [
            (ProviderMessage.Kind.value, "A\n-1\n"), (.value, "A\n"), (.list, "x\n"), (.end, "x\n"), (.fetch, ""),
            (.missing, "A\n99\n\nm\n\n"), (.list, "1"),
        ] { #expect(ProviderMessage(kind, text) == nil, "\(kind) \(text)") }
    }
}
