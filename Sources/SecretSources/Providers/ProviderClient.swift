// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SecretProviders
package import SecretStore
package import SecureMemory
internal import Synchronization
package import SystemCalls
internal import SystemPackage

/// Provider in a process of its own, which a server may not start once it serves (`ServingFilter`).
///
/// The process is started before, holds no key of a store, and ends with the pipe that it is asked through. One that has ended is
/// started anew by the next request where a keeper can do that (`ProviderKeeper`).
package final class ProviderClient: SecretProvider {
    /// The program of the process and its arguments, its name first.
    package struct Command: Sendable, Equatable {
        let path: String
        let arguments: [String]
        /// Variables that it gets beside those of others, as `NAME=value`.
        let environment: [String]

        /// Makes a command.
        package init(_ path: String, _ arguments: [String], environment: [String] = []) {
            self.path = path
            self.arguments = arguments
            self.environment = environment
        }

        /// Variables of others, and its own in their place.
        func environment(over others: [String]) -> [String] {
            let names = environment.map { $0.prefix { $0 != "=" } }
            return others.filter { !names.contains($0.prefix { $0 != "=" }) } + environment
        }
    }

    package let batchLimit: Int
    /// The id of the first process.
    package let id: Int32
    private let limit: Int
    private let cancel: Doorbell
    private let connection: Mutex<ProviderConnection>
    private let keeper = Mutex<(keeper: ProviderKeeper, number: Int)?>(nil)

    /// Starts the process.
    ///
    /// - Parameters:
    ///   - command: the program.
    ///   - environment: its whole environment.
    ///   - speaks: whether its messages go to standard error, or nowhere.
    ///   - batchLimit: most names of one request.
    ///   - limit: the largest value in bytes.
    ///   - cancel: rung once nobody waits for answers any more.
    /// - Throws: class `failed`.
    package init(
        _ command: Command,
        environment: [String],
        speaks: Bool,
        batchLimit: Int,
        limit: Int,
        cancel: Doorbell
    ) throws(StoreError) {
        self.batchLimit = batchLimit
        self.limit = limit
        self.cancel = cancel
        do throws(Errno) {
            let nothing = try OwnedDescriptor.open("/dev/null", O_WRONLY)
            let input = try OwnedDescriptor.pipe()
            let output = try OwnedDescriptor.pipe()
            let process = try ChildProcess(
                command.path,
                arguments: command.arguments,
                environment: command.environment(over: environment),
                descriptors: [
                    (0, input.read.number), (1, output.write.number), (2, speaks ? 2 : nothing.number),
                ]
            )
            id = process.id
            let pipes = ProviderPipes(
                input: input.ends { (_, write) in write },
                output: output.ends { (read, _) in read }
            )
            connection = Mutex(ProviderConnection(pipes, limit: limit, cancel: cancel))
        } catch { throw .system("start", "the process that asks a source", error) }
    }

    /// Has a process that ended started anew by the next request.
    ///
    /// - Parameters:
    ///   - keeper: starts it.
    ///   - number: number of its command there.
    func restart(by keeper: ProviderKeeper, _ number: Int) {
        self.keeper.withLock { $0 = (keeper, number) }
    }

    package func list(until deadline: Int64) throws(ProviderError) -> [String]? {
        try present(deadline).list(until: deadline)
    }

    package func fetch(
        _ names: [String],
        until deadline: Int64,
        answer: (String, consuming Result<SecureBuffer, ProviderError>) -> Void
    ) {
        var open = Set(names)
        do throws(ProviderError) {
            try present(deadline).fetch(names, &open, until: deadline, answer: answer)
        } catch {
            for name in open { answer(name, .failure(error)) }
        }
    }

    /// The connection to a process that was not seen to have ended.
    private func present(_ deadline: Int64) throws(ProviderError) -> ProviderConnection {
        let old = connection.withLock { $0 }
        guard old.hasEnded else { return old }
        guard let (keeper, number) = keeper.withLock({ $0 }) else { throw ProviderKeeper.gone }
        let pipes = try keeper.start(number, until: deadline, cancel)
        let new = ProviderConnection(pipes, limit: limit, cancel: cancel)
        connection.withLock { $0 = new }
        return new
    }
}
