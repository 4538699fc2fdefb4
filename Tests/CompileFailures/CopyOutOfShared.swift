// SPDX-License-Identifier: Apache-2.0
// expected: cannot be consumed|consume

import Credentials

func copy(_ shared: SharedSecret) -> Secret {
    shared.secret
}
