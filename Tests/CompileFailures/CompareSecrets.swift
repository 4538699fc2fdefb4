// SPDX-License-Identifier: Apache-2.0
// expected: binary operator '==' cannot be applied

import Credentials

func compare(_ one: borrowing Secret, _ other: borrowing Secret) -> Bool {
    one == other
}
