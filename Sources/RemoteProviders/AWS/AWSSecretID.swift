// SPDX-License-Identifier: Apache-2.0

/// What the name of a secret stands for: a parameter or secret of AWS, perhaps one version of it, perhaps one member of its JSON.
///
/// `ID[:VERSION][#MEMBER]`, where an id is a name or an ARN.
package struct AWSSecretID: Sendable, Hashable {
    /// Colons in an ARN before its resource has one of its own.
    private static let arnColons = (parameter: 5, secret: 6)

    /// Name or ARN.
    package let base: String
    /// Version, label or stage.
    package let version: String?
    /// Key in the object that the value is.
    package let member: String?

    /// Reads a text.
    ///
    /// - Parameters:
    ///   - text: the text.
    ///   - prefix: what a name is meant below, unless it begins with a slash.
    package init(_ text: String, below prefix: String = "") {
        let parts = text.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        let id = String(parts[0])
        member = parts.count == 2 ? String(parts[1]) : nil
        let isNumber = id.hasPrefix("arn:")
        let whole = isNumber || id.hasPrefix("/") ? id : prefix + id
        let colons = isNumber ? (id.contains(":secret:") ? Self.arnColons.secret : Self.arnColons.parameter) : 0
        let fields = whole.split(separator: ":", omittingEmptySubsequences: false)
        guard fields.count > colons + 1 else {
            base = whole
            version = nil
            return
        }
        base = fields[...colons].joined(separator: ":")
        version = fields[(colons + 1)...].joined(separator: ":")
    }

    /// Text without the member.
    var text: String { version.map { "\(base):\($0)" } ?? base }
}
