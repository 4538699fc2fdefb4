// SPDX-License-Identifier: Apache-2.0
// expected: cannot be consumed|borrowed

import Credentials

func copy(_ key: borrowing SecretKey) -> SecretKey {
    key
}
