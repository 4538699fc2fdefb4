// SPDX-License-Identifier: Apache-2.0

internal import SecureMemory
package import SystemCalls
internal import SystemPackage

/// The side of the process that asks a source: takes requests from a pipe, answers into another, and ends with the first.
///
/// It holds no key of a store. A value is in its memory from the source to the pipe.
package enum ProviderServer {
    /// Time after the last request from which on the provider keeps nothing for the next one.
    private static let patience = Duration.seconds(2)

    /// Answers until whoever asks has gone.
    ///
    /// - Parameters:
    ///   - provider: what is asked.
    ///   - input: where requests come from.
    ///   - output: where answers go.
    package static func serve(
        _ provider: any SecretProvider,
        _ input: borrowing OwnedDescriptor,
        _ output: borrowing OwnedDescriptor
    ) {
        do throws(Errno) {
            while true {
                if try Readiness.wait(for: [input.number], timeout: patience) == [false] { provider.rest() }
                guard let request = try read(input) else { return }
                switch request {
                case .list(let deadline):
                    let answer: ProviderMessage
                    do throws(ProviderError) { answer = .names(try provider.list(until: deadline)) } catch {
                        answer = .failed(error)
                    }
                    try write(answer, output)
                case .fetch(let names, let deadline):
                    var failure: Errno?
                    provider.fetch(names, until: deadline) { (name, result) in
                        guard failure == nil else { return }
                        do throws(Errno) { try answer(name, result, output) } catch { failure = error }
                    }
                    if let failure { throw failure }
                default: return
                }
                try write(.end, output)
            }
        } catch {
            // Whoever asked has gone.
        }
    }

    private static func answer(
        _ name: String,
        _ result: consuming Result<SecureBuffer, ProviderError>,
        _ output: borrowing OwnedDescriptor
    ) throws(Errno) {
        switch consume result {
        case .success(let value):
            try write(.value(name, byteCount: value.count), output)
            try value.withBytes { (bytes) throws(Errno) in try output.writeAll(bytes) }
        case .failure(let error): try write(.missing(name, error), output)
        }
    }

    private static func write(_ message: ProviderMessage, _ output: borrowing OwnedDescriptor) throws(Errno) {
        try output.writeAll(message.bytes.span)
    }

    private static func read(_ input: borrowing OwnedDescriptor) throws(Errno) -> ProviderMessage? {
        guard let head = ProviderMessage.head(try input.readFully(upTo: ProviderMessage.headByteCount)) else {
            return nil
        }
        let bytes = try input.readFully(upTo: head.byteCount)
        guard bytes.count == head.byteCount, let text = String(validating: bytes, as: UTF8.self) else { return nil }
        return ProviderMessage(head.kind, text)
    }
}
