// SPDX-License-Identifier: Apache-2.0
// expected: 'Secret'.* 'Copyable'

import Credentials

func show(_ secret: borrowing Secret) -> String {
    "token: \(secret)"
}
