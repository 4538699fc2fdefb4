// SPDX-License-Identifier: Apache-2.0

internal import ProcessControl
internal import SecretProviders
internal import SecretSources
internal import SecretStore

/// Answer of a server to whoever wants its sources asked again.
enum SourceRefreshing {
    /// Asks again, on the thread of the control socket.
    ///
    /// - Parameters:
    ///   - names: which; nil for all.
    ///   - asked: the sources of the mount; nil where none is asked over time.
    /// - Returns: what failed, with the exit status of the command; nil for nothing.
    static func failure(of names: [String]?, _ asked: AskedSources?) -> ControlAnswer.Failure? {
        let references = names?.map { SecretReference($0)?.name }
        guard references?.contains(nil) != true else { return .init(status: 64, message: "bad name of a secret") }
        guard let asked else {
            guard let name = names?.first else { return nil }
            return answer(
                StoreError(
                    .noSuchSecret,
                    "no source is asked for '\(name)'",
                    hint: "what is in the store or in a directory is read again by: credfs reload"
                )
            )
        }
        do throws(StoreError) {
            let failures = try asked.refresh(references.map { $0.compactMap { $0 } })
            guard let worst = failures.first(where: { $0.error.kind != .notFound }) ?? failures.first else {
                return nil
            }
            let stays = worst.isServed ? "; the value of before is served" : ""
            let others = failures.count > 1 ? " (and \(failures.count - 1) more)" : ""
            return answer(
                StoreError(
                    worst.error.kind == .notFound ? .noSuchSecret : .unavailable,
                    "\(worst.source): '\(worst.name.text)': \(worst.error.message)\(stays)\(others)",
                    hint: worst.error.hint.isEmpty ? nil : worst.error.hint
                )
            )
        } catch { return answer(error) }
    }

    private static func answer(_ error: StoreError) -> ControlAnswer.Failure {
        .init(status: ExitStatus(error.code).code, message: error.message, hint: error.hint)
    }
}
