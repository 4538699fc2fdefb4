// SPDX-License-Identifier: Apache-2.0
// expected: 'SecretKey'.* 'Copyable'

import Credentials

func show(_ key: borrowing SecretKey) {
    print(key)
}
