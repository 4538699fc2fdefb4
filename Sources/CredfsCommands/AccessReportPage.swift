// SPDX-License-Identifier: Apache-2.0

internal import AuditLog
internal import SecretStore

/// Report of the readers of secrets as one page of HTML: no script, nothing from a network, fit for a phone and for paper.
struct AccessReportPage {
    /// Columns of a timeline.
    private static let columnCount: Int64 = 200

    private let report: AccessReport
    private let time: Timestamp
    private let span: ClosedRange<Int64>

    /// Makes the page of a report at a time.
    init(_ report: AccessReport, at time: Timestamp) {
        self.report = report
        self.time = time
        let first = report.range.flatMap { Self.milliseconds($0.lowerBound) } ?? 0
        let last = report.range.flatMap { Self.milliseconds($0.upperBound) } ?? first
        span = first...max(last, first + 1)
    }

    /// The first line, by which a page of before is known.
    static let beginning = "<!DOCTYPE html>\n"

    /// The page.
    var text: String {
        """
        \(Self.beginning)<html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
        <meta name="color-scheme" content="light dark">
        <title>Who read which secret</title>
        <style>
        \(Self.style)
        </style>
        </head>
        <body>
        <main>
        <header>
        <h1>Who read which secret</h1>
        <p class="muted">\(Self.escape(period)). Written \(time.text). Entries count as they stand in the audit log.</p>
        </header>
        \(tiles)
        \(notes)
        \(legend)
        \(report.secrets.map(card).joined(separator: "\n"))
        </main>
        </body>
        </html>

        """
    }

    private var period: String {
        guard let range = report.range else { return "No secret was opened" }
        return "From \(range.lowerBound) to \(range.upperBound)"
    }

    private var tiles: String {
        let uses = report.secrets.flatMap(\.uses)
        let values: [(String, UInt64, String)] = [
            ("secrets read", UInt64(report.secrets.count(where: \.isRead)), ""),
            ("reads", report.secrets.reduce(0) { $0 &+ $1.count(.granted) }, ""),
            ("denied", report.secrets.reduce(0) { $0 &+ $1.count(.denied) }, "denied"),
            ("would be denied", report.secrets.reduce(0) { $0 &+ $1.count(.wouldDeny) }, "would-deny"),
            ("new readers", UInt64(uses.count(where: \.isNew)), "new"),
            ("not read", UInt64(report.unread.count), ""),
        ]
        let shown = values.map { label, number, kind in
            "<div class=\"tile\(number > 0 && !kind.isEmpty ? " " + kind : "")\"><b>\(number)</b><span>\(label)</span></div>"
        }
        return "<section class=\"tiles\" aria-label=\"Summary\">\(shown.joined())</section>"
    }

    private var notes: String {
        var notes: [String] = []
        let shells = report.readByShellsOnly
        if !report.unread.isEmpty {
            notes.append("<h2>Not read by anybody</h2><p class=\"chips\">\(Self.chips(report.unread))</p>")
        }
        if !shells.isEmpty {
            notes.append(
                "<h2>Read by shells only</h2><p class=\"muted\">A shell hands a value on to what nobody sees: let the "
                    + "program open the file.</p><p class=\"chips\">\(Self.chips(shells))</p>"
            )
        }
        if let previous = report.previous {
            notes.append(
                "<p class=\"muted\">New is what was not in the log before the report of \(Self.escape(previous)).</p>"
            )
        }
        return notes.isEmpty ? "" : "<section class=\"notes\">\(notes.joined())</section>"
    }

    private var legend: String {
        guard report.range != nil else { return "" }
        let names = [
            ("granted", "read"), ("denied", "denied"), ("would-deny", "would be denied"), ("failed", "failed"),
        ]
        let items = names.map { "<span><i class=\"\($0)\"></i>\($1)</span>" }
        return "<p class=\"legend\" aria-hidden=\"true\">\(items.joined())</p>"
    }

    private func card(_ secret: AccessReport.Secret) -> String {
        """
        <section class="card">
        <h2>\(Self.escape(secret.name)) <small>\(AccessReportText.counts { secret.count($0) })</small></h2>
        \(secret.uses.map { row($0, of: secret.name) }.joined(separator: "\n"))
        <p class="axis"><span>\(Self.minute(span.lowerBound))</span><span>\(Self.minute(span.upperBound))</span></p>
        </section>
        """
    }

    private func row(_ use: AccessReport.Use, of secret: String) -> String {
        let path = use.reader.executable ?? "unknown program"
        let program = path.split(separator: "/").last.map(String.init) ?? path
        let command = use.reader.command.map { "credfs \($0), run by " } ?? ""
        let badge = use.isNew ? " <em class=\"badge\">new</em>" : ""
        let unit = use.reader.unit.map { ", \($0)" } ?? ""
        let jobs = use.jobs.map { "<li>\(Self.escape($0))</li>" }.joined()
        let list =
            jobs.isEmpty
            ? "" : "<details><summary>\(Count.pluralized(use.jobs.count, "job"))</summary><ul>\(jobs)</ul></details>"
        return """
            <div class="row">
            <div class="reader"><b>\(Self.escape(command + program))</b>\(badge)<span class="path">\(Self.escape(path))</span>\
            <span class="path">\(Self.escape(use.reader.user + unit))</span>\(list)</div>
            \(timeline(use, label: "\(program) and \(secret)"))
            <div class="counts">\(AccessReportText.counts { use.count($0) })</div>
            </div>
            """
    }

    /// Attempts over time: a column for each part of the span, as high as many were in it.
    private func timeline(_ use: AccessReport.Use, label: String) -> String {
        var columns: [Column: UInt64] = [:]
        for attempt in use.attempts {
            let first = column(attempt.first)
            // An entry that stands for several says when the first and the last was.
            let last = max(first, column(attempt.last))
            let outcome = attempt.outcome
            for column in Set([first, last]) {
                columns[Column(index: column, outcome: outcome), default: 0] &+= attempt.count
            }
        }
        let marks = columns.sorted { ($0.key.index, $0.key.outcome.rawValue) < ($1.key.index, $1.key.outcome.rawValue) }
            .map { column, count in
                // Logarithmic: one read is seen beside a thousand.
                let height = min(28, 6 + 3 * (UInt64.bitWidth - count.leadingZeroBitCount))
                let place = "x=\"\(column.index * 5)\" y=\"\(30 - height)\" width=\"5\" height=\"\(height)\""
                return "<rect class=\"\(column.outcome.rawValue)\" \(place)></rect>"
            }
        return """
            <svg class="time" viewBox="0 0 1000 32" preserveAspectRatio="none" role="img" \
            aria-label="\(Self.escape("Timeline of \(label)"))"><line x1="0" y1="30.5" x2="1000" y2="30.5"></line>\
            \(marks.joined())</svg>
            """
    }

    private struct Column: Hashable {
        let index: Int64
        let outcome: AccessReport.Outcome
    }

    private func column(_ timestamp: String) -> Int64 {
        let time = Self.milliseconds(timestamp) ?? span.lowerBound
        let offset = min(max(time, span.lowerBound), span.upperBound) - span.lowerBound
        return min(Self.columnCount - 1, offset * Self.columnCount / (span.upperBound - span.lowerBound))
    }

    /// Milliseconds since 1970 of a timestamp of the log; nil for any other text.
    private static func milliseconds(_ text: String) -> Int64? {
        let parts = text.split(separator: ".")
        guard parts.count == 2, let time = Timestamp(parts[0] + "Z"), let part = Int64(parts[1].dropLast()) else {
            return nil
        }
        return time.seconds * 1000 + part
    }

    private static func minute(_ milliseconds: Int64) -> String {
        guard milliseconds > 1 else { return "" }
        let text = Timestamp(seconds: milliseconds / 1000).text
        return "\(text.prefix(10)) \(text.dropFirst(11).prefix(8)) UTC"
    }

    private static func chips(_ names: [String]) -> String {
        names.map { "<code>\(escape($0))</code>" }.joined(separator: " ")
    }

    /// Text that is only text in HTML, whatever a process calls itself.
    private static func escape(_ text: String) -> String {
        var escaped = ""
        for scalar in Console.visible(text).unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    private static let style = """
        :root { --text: #1f2328; --muted: #59636e; --page: #f6f8fa; --card: #ffffff; --line: #d1d9e0;
          --granted: #2463c7; --denied: #cf222e; --would: #9a6700; --failed: #6e7781; --new: #1a7f37; }
        @media (prefers-color-scheme: dark) { :root { --text: #f0f6fc; --muted: #9198a1; --page: #0d1117; --card: #151b23;
          --line: #3d444d; --granted: #6ea8fe; --denied: #ff7b72; --would: #e3b341; --failed: #9198a1; --new: #56d364; } }
        * { box-sizing: border-box; }
        body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.45 system-ui, sans-serif; }
        main { max-width: 1120px; margin: 0 auto; padding: 24px 20px 48px; }
        h1 { font-size: 26px; line-height: 1.2; margin: 0 0 4px; }
        h2 { font-size: 17px; margin: 0 0 10px; overflow-wrap: anywhere; }
        h2 small { font-weight: 400; font-size: 14px; color: var(--muted); }
        p { margin: 0 0 12px; }
        .muted { color: var(--muted); font-size: 14px; }
        .tiles { display: grid; grid-template-columns: repeat(6, 1fr); gap: 12px; margin: 18px 0; }
        .tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; }
        .tile b { display: block; font-size: 24px; line-height: 1.2; }
        .tile span { color: var(--muted); font-size: 13px; }
        .tile.denied b { color: var(--denied); } .tile.would-deny b { color: var(--would); } .tile.new b { color: var(--new); }
        .notes, .card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 16px 18px;
          margin: 0 0 16px; }
        .notes > :last-child { margin-bottom: 0; }
        .notes h2 { font-size: 15px; margin: 0 0 6px; }
        .chips code { display: inline-block; border: 1px solid var(--line); border-radius: 6px; padding: 1px 7px;
          margin: 0 2px 4px 0; overflow-wrap: anywhere; }
        code, .path { font-family: ui-monospace, monospace; font-size: 12.5px; }
        .legend { display: flex; flex-wrap: wrap; gap: 4px 18px; color: var(--muted); font-size: 13px; }
        .legend i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 6px; }
        .row { display: grid; grid-template-columns: minmax(0, 270px) minmax(0, 1fr) 130px; gap: 16px; align-items: center;
          padding: 8px 0; border-top: 1px solid var(--line); }
        .reader { min-width: 0; overflow-wrap: anywhere; }
        .path { display: block; color: var(--muted); }
        .badge { font-style: normal; font-size: 12px; color: var(--new); border: 1px solid currentColor; border-radius: 10px;
          padding: 0 7px; }
        .counts { font-size: 13px; text-align: right; }
        .time { display: block; width: 100%; height: 32px; }
        .time line { stroke: var(--line); }
        rect.granted { fill: var(--granted); } rect.denied { fill: var(--denied); } rect.would-deny { fill: var(--would); }
        rect.failed { fill: var(--failed); } i.granted { background: var(--granted); } i.denied { background: var(--denied); }
        i.would-deny { background: var(--would); } i.failed { background: var(--failed); }
        .axis { display: flex; justify-content: space-between; gap: 12px; margin: 4px 146px 0 286px; color: var(--muted);
          font-size: 12px; }
        details { font-size: 13px; color: var(--muted); } summary { cursor: pointer; } ul { margin: 4px 0; padding-left: 18px; }
        @media (max-width: 760px) {
          main { padding: 16px 12px 32px; }
          .tiles { grid-template-columns: repeat(3, 1fr); gap: 8px; } .tile { padding: 8px 10px; } .tile b { font-size: 20px; }
          .row { grid-template-columns: minmax(0, 1fr); gap: 6px; } .counts { text-align: left; } .axis { margin: 4px 0 0; }
        }
        @media print { body { background: #fff; } .card, .notes { break-inside: avoid; } }
        """
}
