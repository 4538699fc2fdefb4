// SPDX-License-Identifier: Apache-2.0
// expected: escapes its scope|lifetime-dependent|Escapable

import Credentials

func escape(_ secret: borrowing Secret) -> Int {
    var kept = Span<UInt8>()
    secret.withBytes { kept = $0 }
    return kept.count
}
