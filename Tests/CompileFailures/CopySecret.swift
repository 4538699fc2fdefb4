// SPDX-License-Identifier: Apache-2.0
// expected: 'secret' (used after consume|consumed more than once)

import Credentials

func copy(_ secret: consuming Secret) -> Int {
    let other = secret
    return other.byteCount + secret.byteCount
}
