// SPDX-License-Identifier: Apache-2.0
// expected: cannot find 'PathWalk' in scope|inaccessible

import Credentials

let walk = PathWalk.self
