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
        /// To refuse opens and reads, and to wipe the keys.
        case lock
        /// To serve again with the data key in the pipe that comes with the request.
        case unlock
    }

    /// The longest request in bytes; a message that is longer is cut and read as none.
    package static let longestByteCount = 4095

    /// What is asked for.
    package let action: Action

    /// Makes a request.
    package init(_ action: Action) {
        self.action = action
    }

    /// Reads a request.
    ///
    /// - Returns: nil for anything else, more members too, which a later version may have.
    package init?(_ text: Span<UInt8>) {
        guard text.count <= Self.longestByteCount, let members = JSONValue.members(text, maximumDepth: 1),
            members.count == 1, let action = members["request"]?.text.flatMap(Action.init)
        else { return nil }
        self.action = action
    }

    /// The text.
    package var text: String { JSONValue.object(["request": .string(action.rawValue)]).text(.line) }
}
