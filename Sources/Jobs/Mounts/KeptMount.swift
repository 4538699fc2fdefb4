// SPDX-License-Identifier: Apache-2.0

internal import SecureJSON
internal import SystemCalls

/// Options of a mount that another server can take over: those that only mount(2) can set.
package struct KeptMount: Sendable, Equatable {
    /// Option max_read, in bytes.
    let maximumReadByteCount: Int
    /// Option allow_other.
    let allowsOther: Bool

    init(_ options: FuseMount.Options) {
        maximumReadByteCount = options.maximumReadByteCount
        allowsOther = options.allowOther
    }

    /// Reads it from a record; nil for a mount that ends with its server.
    init?(_ members: [String: JSONValue]) {
        guard let maximum: Int = members["maximumRead"]?.integer(), let allows = members["allowOther"] else {
            return nil
        }
        maximumReadByteCount = maximum
        allowsOther = allows == .boolean(true)
    }

    /// Members of a record.
    var members: [String: JSONValue] {
        ["maximumRead": .integer(maximumReadByteCount), "allowOther": .boolean(allowsOther)]
    }
}
