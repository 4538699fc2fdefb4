// SPDX-License-Identifier: Apache-2.0

internal import SecretStore

/// Place of a value in a file of sops: the keys and indexes that lead to it from the root.
package struct SopsPath: Sendable, Equatable {
    package enum Component: Sendable, Equatable {
        case key(String)
        case index(Int)
    }

    package private(set) var components: [Component] = []

    mutating func push(_ component: Component) { components.append(component) }

    mutating func pop() { components.removeLast() }

    /// What a value is bound to: the keys, each with a colon behind it.
    ///
    /// The indexes of lists are not part of it.
    package var associatedData: String {
        components.map { component in
            if case .key(let key) = component { "\(key):" } else { "" }
        }.joined()
    }

    /// The name of the secret: keys and indexes with a point between.
    package var name: String {
        components.map { component in
            switch component {
            case .key(let key): key
            case .index(let index): String(index)
            }
        }.joined(separator: ".")
    }

    /// The keys and indexes as texts, where it leads into what sops says of the file; else nil.
    var metadata: [String]? {
        guard components.first == .key("sops") else { return nil }
        return components.dropFirst().map { component in
            switch component {
            case .key(let key): key
            case .index(let index): String(index)
            }
        }
    }
}

/// Kind of a value in a file of sops.
package enum SopsKind: Sendable, Equatable {
    case text
    /// A number, in the characters that sops takes for the same.
    case number
    case boolean(Bool)
    case null
}

/// Takes a value: its place, its kind, its bytes and its line.
typealias SopsVisit = (SopsPath, SopsKind, Span<UInt8>, Int) throws(StoreError) -> Void
