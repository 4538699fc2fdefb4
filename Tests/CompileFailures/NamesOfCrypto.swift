// SPDX-License-Identifier: Apache-2.0
// expected: cannot find 'EVP_sha256' in scope

import Credentials

let digest = EVP_sha256()
