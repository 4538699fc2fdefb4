// SPDX-License-Identifier: Apache-2.0
// expected: cannot find type 'SecureBuffer' in scope

import Credentials

func use(_ buffer: borrowing SecureBuffer) {}
