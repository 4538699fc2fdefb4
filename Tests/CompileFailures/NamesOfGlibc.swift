// SPDX-License-Identifier: Apache-2.0
// expected: cannot find 'openat' in scope

import Credentials

let call = openat
