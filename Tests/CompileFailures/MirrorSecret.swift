// SPDX-License-Identifier: Apache-2.0
// expected: 'Secret'.* 'Copyable'

import Credentials

func show(_ secret: borrowing Secret) -> Mirror {
    Mirror(reflecting: secret)
}
