// SPDX-License-Identifier: Apache-2.0

package import ProcessControl
package import SecretFileSystem
package import SystemPackage

/// Asks sources again for names, or for all of them; says what failed.
package typealias SourceRefresh = @Sendable ([String]?) -> ControlAnswer.Failure?

/// Tells what is known of a source that is asked over time, by its number from the top; how many there are, if there is none.
package typealias SourceHealth = @Sendable (Int) -> ControlAnswer

/// Store behind a live mount, which its server reads again; used on the main thread.
package protocol ServedStore: AnyObject {
    /// Reads the manifest again and checks it as at the start.
    ///
    /// - Parameter previous: the generation that is served.
    /// - Returns: what is to be served.
    /// - Throws: why it is not accepted, which is recorded.
    func snapshot(after previous: Snapshot) throws -> Snapshot

    /// Can be read when sources that are asked have told something else; -1 where there are none.
    var notice: Int32 { get }

    /// Takes the notice.
    func takeNotice()

    /// Begins to ask sources again when their values are due, on a thread; from now on no reload waits for a source.
    func begin() throws(Errno)

    /// Ends that, and every wait for a source.
    func end()

    /// Asks sources again, on any thread; of nil for every name.
    var refresh: SourceRefresh { get }

    /// Tells what is known of its sources, on any thread.
    var health: SourceHealth { get }

    /// Wipes every key that opens the store.
    func lock()

    /// Takes the data key out of a pipe, then reads the manifest again and checks it with that.
    ///
    /// - Parameters:
    ///   - pipe: what came with the request.
    ///   - previous: the generation that was served.
    /// - Returns: what is to be served.
    /// - Throws: why it is not accepted, which is recorded; then no key is left.
    func unlock(with pipe: ReceivedDescriptor, after previous: Snapshot) throws -> Snapshot

    /// Says that another generation is served since a signal or a change of the manifest asked for it.
    func reportReload(of generation: UInt64)

    /// Says why nothing else is served, where nobody waits for an answer.
    func report(_ error: any Error)

    /// Says once that a manifest is left out that was found to have changed.
    func reportSkipped(_ error: any Error)

    /// Error for whoever asked.
    func failure(of error: any Error) -> ControlAnswer.Failure
}
