// SPDX-License-Identifier: Apache-2.0
// expected: cannot find 'credfs_memfd_secret' in scope

import Credentials

let file = credfs_memfd_secret(0)
