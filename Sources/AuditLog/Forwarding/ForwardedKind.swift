// SPDX-License-Identifier: Apache-2.0

/// Kind of a forwarded entry: its priority, and the identifier by which the journal finds all of that kind.
enum ForwardedKind: CaseIterable {
    /// A command did what it was asked, or failed.
    case operation
    /// A secret of a mount was opened, or could not be.
    case open
    /// Somebody was refused.
    case denial
    /// Somebody asked to hear of this.
    case alert
    /// Entries before this one were not forwarded.
    case loss

    init(_ entry: AuditEntry) {
        self =
            switch (entry.operation, entry.status) {
            case ("alert", _): .alert
            case (AuditEntry.forwarding, _): .loss
            case (_, "denied"): .denial
            case ("open", _): .open
            default: .operation
            }
    }

    /// Level of syslog(3).
    var priority: Int {
        switch self {
        case .alert: 2
        case .denial, .loss: 4
        case .operation, .open: 6
        }
    }

    /// MESSAGE_ID of the journal (systemd.journal-fields(7)); fixed for ever.
    var messageID: String {
        switch self {
        case .operation: "56933c5476b94b29940a56b3fffd5cdf"
        case .open: "9963fb5d16a940c3a17224ca219c6892"
        case .denial: "dd4c7e44b2ad4568b73bbc9b0f0948bb"
        case .alert: "d4493f362907462aa4058e0938d944f3"
        case .loss: "8cf756fd6b80416a9b51acf017761697"
        }
    }
}
