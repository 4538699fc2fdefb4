// SPDX-License-Identifier: Apache-2.0
// expected: 'SharedSecret' conform to 'Encodable'

import Credentials

func encode(_ value: some Encodable) {}

func leak(_ shared: SharedSecret) {
    encode(shared)
}
