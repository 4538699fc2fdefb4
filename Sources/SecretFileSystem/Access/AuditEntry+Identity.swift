// SPDX-License-Identifier: Apache-2.0

package import AuditLog

extension AuditEntry {
    /// Records the process; what the kernel vouches for and what the process says of itself stay apart.
    package mutating func identify(_ process: ProcessIdentity) {
        pid = Int64(process.process)
        executable = process.executable?.path
        parent = process.ancestors.first ?? nil
        startTime = process.startTime
        // The place in the chain counts, also of those that the kernel does not name.
        ancestors = process.ancestors.map { $0 ?? "" }
        unit = process.group.container ?? process.group.unit
        claimed = Claims(argument: process.claims.argument, name: process.claims.name)
    }
}
