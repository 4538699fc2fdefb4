// SPDX-License-Identifier: Apache-2.0
// expected: cannot find type 'Errno' in scope

import Credentials

func use(_ error: Errno) {}
