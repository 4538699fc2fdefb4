// SPDX-License-Identifier: Apache-2.0
// expected: 'Secret'.* 'Copyable'

import Credentials

func collect(_ secret: consuming Secret) -> [Secret] {
    [secret]
}
