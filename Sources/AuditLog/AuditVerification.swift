// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import Sealing
internal import SecureFiles
internal import SecureMemory

extension AuditLog {
    /// Checks every entry of the log.
    ///
    /// Other processes may append meanwhile: what is checked is the log of one moment.
    ///
    /// - Parameters:
    ///   - key: the key of the store that sealed the first key of the log.
    ///   - store: the identity of the store.
    ///   - head: an earlier last entry that must be in the log.
    /// - Returns: what was found.
    /// - Throws: `AuditError.noLog` if nothing of a log is there, others if it cannot be read.
    package func verify(
        unsealedWith key: borrowing Key256,
        store: String,
        head: AuditHead? = nil
    ) throws(AuditError) -> AuditReport {
        let moment = try directory.whileLocked(withinMilliseconds: Self.patienceMilliseconds, isReadOnly: true) {
            () throws(AuditError) in try self.moment()
        }
        guard moment.hasAnything else { throw .noLog }
        var report = AuditReport()
        report.fileCount = moment.files.count
        func unusable(_ message: String) -> AuditReport {
            report.problems.append(.init(kind: .key, file: nil, line: nil, sequence: nil, message: message))
            return report
        }
        guard let sealed = moment.root else {
            return unusable("\(AuditDirectory.rootName) is missing: nothing can be checked")
        }
        guard let state = moment.state else {
            return unusable("\(moment.stateProblem): nothing can be checked")
        }
        guard let ratchet = try AuditRoot.ratchet(sealed, key, store) else {
            return unusable(
                "\(AuditDirectory.rootName) does not open with the key of this store: nothing can be checked"
            )
        }
        let verifier = AuditVerifier(ratchet, state, head, report)
        for file in moment.files {
            let reader = LogReader(file)
            while !verifier.hasGivenUp, let item = try reader.next() {
                try AuditError.sealing { () throws(SealingError) in
                    try verifier.examine(item, file: reader.name, line: reader.lineNumber)
                }
            }
        }
        return try AuditError.sealing { () throws(SealingError) in try verifier.finish() }
    }

    /// Everything of a log, as it is while nobody writes.
    private struct Moment {
        let root: [UInt8]?
        let state: AuditState?
        let stateProblem: String
        let files: [AuditFile]

        var hasAnything: Bool { root != nil || state != nil || !files.isEmpty }
    }

    private func moment() throws(AuditError) -> Moment {
        let limit = AuditRoot.recordByteCount * (AuditRoot.maximumRecordCount + 1)
        let root = try directory.open(AuditDirectory.rootName, O_RDONLY)?.read(from: 0, count: limit)
        let files = try openLogs()
        guard let keyFile = try directory.openKey(O_RDONLY) else {
            return Moment(root: root, state: nil, stateProblem: "\(AuditDirectory.keyName) is missing", files: files)
        }
        do throws(AuditError) {
            return Moment(root: root, state: try readState(keyFile), stateProblem: "", files: files)
        } catch {
            guard case .damaged = error else { throw error }
            let problem = "\(AuditDirectory.keyName) does not hold the key of an audit log"
            return Moment(root: root, state: nil, stateProblem: problem, files: files)
        }
    }
}

/// Goes through the lines of a log once and says what is wrong with them.
final class AuditVerifier {
    /// Entries that were not there where they should have been.
    private struct Gap {
        let range: ClosedRange<UInt64>
        /// The line before which they are missing; nil for the first one of the log.
        let place: (file: String, line: Int)?
    }

    /// The most entries that can be missing between two: reaching a key so far away takes half a second, and without a
    /// bound damaged numbers would take for ever.
    private static let maximumGap: UInt64 = 1 << 28
    /// Number of far keys that may be looked for, as the first entry is in a log of many years.
    private static let maximumFarProbeCount = 4

    /// Stands at the entry that is expected.
    private var ratchet: KeyRatchet
    private let state: AuditState
    private let head: AuditHead?
    private var report: AuditReport
    private var gaps: [Gap] = []
    /// Entries that stand there but do not authenticate: they are not missing, too.
    private var changed: Set<UInt64> = []
    /// The code of the entry before the expected one, if that one authenticates.
    private var previous: [UInt8]?
    /// Oldest entry that was kept, as the last file says.
    private var oldest: UInt64 = 1
    private var headCode: [UInt8]?
    private var isKeyRight: Bool?
    private var hasBegun = false
    private var farProbeCount = 0

    var hasGivenUp: Bool { report.problems.count >= AuditReport.maximumProblemCount }

    init(_ ratchet: KeyRatchet, _ state: AuditState, _ head: AuditHead?, _ report: AuditReport) {
        self.ratchet = ratchet
        self.state = state
        self.head = head
        self.report = report
    }

    /// Checks the next line.
    func examine(_ item: LogReader.Item, file: String, line: Int) throws(SealingError) {
        let place = "\(file) line \(line)"
        func problem(_ kind: AuditReport.Kind, _ sequence: UInt64?, _ message: String) {
            report.problems.append(.init(kind: kind, file: file, line: line, sequence: sequence, message: message))
        }
        if item == .torn, ratchet.sequence >= state.sequence {
            let ending = "the next command that records something cuts it off and says so"
            return problem(.malformed, nil, "\(place): not an entry but one that was not finished: \(ending)")
        }
        guard case .line(let bytes) = item, let parsed = AuditLine(bytes) else {
            return problem(.malformed, nil, "\(place): not an entry")
        }
        let sequence = parsed.sequence
        if hasBegun, sequence < ratchet.sequence {
            if closeGap(at: sequence) {
                return problem(.moved, sequence, "\(place): entry \(sequence) stands behind later ones")
            }
            return problem(.inserted, sequence, "\(place): entry \(sequence) was inserted, it stands elsewhere already")
        }
        // Only what was being written when a process was killed goes beyond the key.
        let isWritten = sequence < state.sequence || sequence <= ratchet.sequence
        guard isWritten, isReachable(sequence) else {
            return problem(.inserted, sequence, "\(place): entry \(sequence) was inserted, it was never written")
        }
        let body = bytes.span.extracting(0..<AuditLine.bodyCount(bytes))
        guard sequence > ratchet.sequence else {
            let isAuthentic = try ratchet.isCode(parsed.code, of: body)
            if !isAuthentic, sequence >= state.sequence {
                return problem(.inserted, sequence, "\(place): entry \(sequence) was inserted, it was never written")
            } else if !isAuthentic {
                changed.insert(sequence)
                problem(.changed, sequence, "\(place): entry \(sequence) was changed")
            } else if let previous, previous != parsed.previous {
                problem(
                    .spliced,
                    sequence,
                    "\(place): entry \(sequence) does not follow the entry before it, which another log may have had"
                )
            }
            return try accept(parsed, isAuthentic: isAuthentic)
        }
        let probe = try ratchet.copy()
        try probe.advance(to: sequence)
        guard try probe.isCode(parsed.code, of: body) else {
            changed.insert(sequence)
            return problem(.changed, sequence, "\(place): entry \(sequence) was changed")
        }
        gaps.append(Gap(range: ratchet.sequence...sequence - 1, place: hasBegun ? (file, line) : nil))
        try advance(to: sequence)
        previous = nil
        try accept(parsed, isAuthentic: true)
    }

    private func isReachable(_ sequence: UInt64) -> Bool {
        guard sequence > ratchet.sequence + Self.maximumGap else { return true }
        farProbeCount += 1
        return !hasBegun && farProbeCount <= Self.maximumFarProbeCount && sequence <= KeyRatchet.maximumReachable
    }

    /// Takes the line for the entry that was expected.
    private func accept(_ line: AuditLine, isAuthentic: Bool) throws(SealingError) {
        previous = nil
        if isAuthentic {
            previous = line.code
            report.entryCount += 1
            if !hasBegun { report.first = line.sequence }
            report.last = line.sequence
            report.lost += line.entry.lost ?? 0
            if line.entry.operation == AuditEntry.beginning, let first = line.entry.first { oldest = first }
            if line.sequence == head?.sequence { headCode = line.code }
            if line.sequence == state.sequence - 1, line.code != state.previous { isKeyRight = false }
        }
        hasBegun = true
        try advance(to: line.sequence + 1)
    }

    /// Goes on, and looks whether `audit.key` holds what it must when its entry is passed.
    ///
    /// An entry too far away is not reached, and then not right.
    private func advance(to sequence: UInt64) throws(SealingError) {
        if ratchet.sequence <= state.sequence, sequence >= state.sequence {
            guard state.sequence - ratchet.sequence <= Self.maximumGap else { return }
            try ratchet.advance(to: state.sequence)
            if !ratchet.isEqual(to: state.ratchet) { isKeyRight = false }
            isKeyRight = isKeyRight ?? true
        }
        try ratchet.advance(to: sequence)
    }

    private func closeGap(at sequence: UInt64) -> Bool {
        guard let index = gaps.firstIndex(where: { $0.range.contains(sequence) }) else { return false }
        let gap = gaps.remove(at: index)
        if sequence < gap.range.upperBound {
            gaps.insert(Gap(range: sequence + 1...gap.range.upperBound, place: gap.place), at: index)
        }
        if sequence > gap.range.lowerBound {
            gaps.insert(Gap(range: gap.range.lowerBound...sequence - 1, place: gap.place), at: index)
        }
        return true
    }

    /// Ends the verification.
    func finish() throws(SealingError) -> AuditReport {
        guard !hasGivenUp else { return report }
        let next = ratchet.sequence
        report.pending = hasBegun && next > state.sequence ? next - state.sequence : 0
        for gap in gaps where gap.range.upperBound >= oldest {
            addMissing(max(gap.range.lowerBound, oldest)...gap.range.upperBound, gap.place)
        }
        if next < state.sequence {
            let range = (hasBegun ? next : oldest)...state.sequence - 1
            report.problems.append(
                .init(
                    kind: .truncated,
                    file: nil,
                    line: nil,
                    sequence: range.lowerBound,
                    message: "\(Self.words(range)) missing at the end of the log"
                )
            )
        }
        try advance(to: max(next, state.sequence))
        if isKeyRight != true {
            report.problems.append(
                .init(
                    kind: .key,
                    file: AuditDirectory.keyName,
                    line: nil,
                    sequence: nil,
                    message: "\(AuditDirectory.keyName) does not belong to this log"
                )
            )
        }
        checkHead(last: hasBegun ? next - 1 : 0)
        return report
    }

    private func addMissing(_ range: ClosedRange<UInt64>, _ place: (file: String, line: Int)?) {
        // One line that was changed beyond recognition is told of already.
        guard range.count > 1 || !changed.contains(range.lowerBound) else { return }
        let words = place.map { "before \($0.file) line \($0.line)" } ?? "at the beginning of the log"
        report.problems.append(
            .init(
                kind: .missing,
                file: place?.file,
                line: place?.line,
                sequence: range.lowerBound,
                message: "\(Self.words(range)) missing \(words)"
            )
        )
    }

    private func checkHead(last: UInt64) {
        guard let head, headCode != head.code else { return }
        let message =
            if head.sequence > last {
                "the log ends at entry \(last), before entry \(head.sequence) of the head: an older log was put back"
            } else if head.sequence < oldest {
                "entry \(head.sequence) of the head is no longer kept"
            } else {
                "entry \(head.sequence) is not the one of the head: another log was put in its place"
            }
        report.problems.append(
            .init(kind: .head, file: nil, line: nil, sequence: head.sequence, message: message)
        )
    }

    private static func words(_ range: ClosedRange<UInt64>) -> String {
        range.count == 1 ? "entry \(range.lowerBound) is" : "entries \(range.lowerBound) to \(range.upperBound) are"
    }
}
