// SPDX-License-Identifier: Apache-2.0
// expected: 'SharedSecret' conform to 'Hashable'

import Credentials

func hash(_ value: some Hashable) {}

func leak(_ shared: SharedSecret) {
    hash(shared)
}
