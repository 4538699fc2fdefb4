// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// Values that a listing has brought, until they are fetched: an answer that names secrets has their values, too.
///
/// They stay in the answers as they came. Nobody waits for them: what is not fetched at once is forgotten (`rest`).
final class HandedValues: Sendable {
    /// A value in an answer.
    struct Value: Sendable {
        let document: SecretDocument
        let item: SecretDocument.Node
    }

    private let values = Mutex<[String: Value]>([:])

    /// Keeps a value.
    func keep(_ value: Value, of name: String) {
        values.withLock { $0[name] = value }
    }

    /// Takes a value; once.
    func take(_ name: String) -> Value? {
        values.withLock { $0.removeValue(forKey: name) }
    }

    /// Forgets what is left.
    func forget() {
        values.withLock { $0 = [:] }
    }
}
