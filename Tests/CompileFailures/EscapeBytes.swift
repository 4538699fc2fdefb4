// SPDX-License-Identifier: Apache-2.0
// expected: 'Span<UInt8>' conform to 'Escapable'|lifetime|escape

import Credentials

func escape(_ secret: borrowing Secret) {
    let bytes: Span<UInt8> = secret.withBytes { $0 }
    _ = bytes.count
}
