// SPDX-License-Identifier: Apache-2.0
// expected: 'Secret' conform to '(Encodable|Copyable)'

import Credentials

func encode(_ value: some Encodable) {}

func leak(_ secret: borrowing Secret) {
    encode(secret)
}
