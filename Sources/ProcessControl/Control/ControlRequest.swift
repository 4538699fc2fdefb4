// SPDX-License-Identifier: Apache-2.0

internal import SecureJSON

/// Request to the process that serves a mount: one line of JSON, `{"request":"reload"}`.
package struct ControlRequest: Sendable, Equatable {
    /// What is asked for.
    package enum Action: String, Sendable, CaseIterable {
        /// To tell what is served and what was counted.
        case status
        /// To serve what the manifest holds now.
        case reload
        /// To ask sources again, and to serve what they say and the manifest holds.
        case refresh
        /// To tell what is known of one source that is asked over time.
        case health
        /// To refuse opens and reads, and to wipe the keys.
        case lock
        /// To serve again with the data key in the pipe that comes with the request.
        case unlock
    }

    /// The longest request in bytes; a message that is longer is cut and read as none.
    package static let longestByteCount = 4095

    /// What is asked for.
    package let action: Action
    /// Names to ask sources for, nil for all; of `health` the number of the source from the top.
    package let names: [String]?

    /// Makes a request.
    package init(_ action: Action, names: [String]? = nil) {
        self.action = action
        self.names = names
    }

    /// Reads a request.
    ///
    /// - Returns: nil for anything else, more members too, which a later version may have.
    package init?(_ text: Span<UInt8>) {
        guard text.count <= Self.longestByteCount, let members = JSONValue.members(text, maximumDepth: 1),
            let action = members["request"]?.text.flatMap(Action.init)
        else { return nil }
        let names = [.refresh, .health].contains(action) ? members["names"] : nil
        guard members.count == (names == nil ? 1 : 2) else { return nil }
        self.action = action
        guard let names else {
            self.names = nil
            return
        }
        guard let text = names.text, !text.isEmpty else { return nil }
        self.names = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    /// The text.
    package var text: String {
        var members: [String: JSONValue] = ["request": .string(action.rawValue)]
        if let names { members["names"] = .string(names.joined(separator: "\n")) }
        return JSONValue.object(members).text(.line)
    }
}
