// SPDX-License-Identifier: Apache-2.0
// expected: 'Secret'.* 'Copyable'

import Credentials

func erase(_ secret: consuming Secret) -> Any {
    secret
}
