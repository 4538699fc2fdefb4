// SPDX-License-Identifier: Apache-2.0

internal import ProcessControl
internal import SecretSources

/// Health of the sources of a live mount, as its server knows it: nobody is asked for it.
enum LiveHealth {
    /// Answer of the server for one source.
    ///
    /// - Parameters:
    ///   - sources: those that are asked over time, the last one on top.
    ///   - number: which, from the top.
    /// - Returns: their number, and what is known of that one if there is such a one.
    static func answer(_ sources: [AskedSource], _ number: Int) -> ControlAnswer {
        var counts: [String: UInt64] = ["sources": UInt64(sources.count)]
        guard sources.indices.contains(number) else { return ControlAnswer(counts: counts) }
        let source = sources[sources.count - 1 - number]
        // Settings may name secrets; whoever asks has not given this address.
        let report = SourceReport(source.label, source.facts)
        counts["reachable"] = report.isReachable ? 1 : 0
        counts["authenticated"] = report.isAuthenticated ? 1 : 0
        counts["cached"] = UInt64(report.valueCount)
        counts["stale"] = UInt64(report.staleCount)
        counts["age"] = report.age.map { UInt64(clamping: $0) }
        counts["latency"] = report.latency.map { UInt64(clamping: $0) }
        var texts = ["source": report.source]
        texts["lastError"] = report.error
        return ControlAnswer(counts: counts, texts: texts)
    }

    /// Asks a server for the reports of its sources, from the top.
    ///
    /// - Throws: where nobody answers.
    static func reports(of mount: NamedMount, _ context: CommandContext) throws -> [SourceReport] {
        var reports: [SourceReport] = []
        while true {
            let answer = try mount.ask(ControlRequest(.health, names: [String(reports.count)]), context)
            guard let source = answer.texts["source"] else { return reports }
            reports.append(
                SourceReport(
                    source,
                    error: answer.texts["lastError"],
                    isReachable: answer.counts["reachable"] == 1,
                    isAuthenticated: answer.counts["authenticated"] == 1,
                    latency: answer.counts["latency"].map { Int64(clamping: $0) },
                    valueCount: Int(clamping: answer.counts["cached"] ?? 0),
                    staleCount: Int(clamping: answer.counts["stale"] ?? 0),
                    age: answer.counts["age"].map { Int64(clamping: $0) }
                )
            )
        }
    }
}
