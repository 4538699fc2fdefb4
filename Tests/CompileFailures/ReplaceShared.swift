// SPDX-License-Identifier: Apache-2.0
// expected: 'secret' is a 'let' constant

import Credentials

func replace(_ shared: SharedSecret, _ secret: consuming Secret) {
    shared.secret = secret
}
