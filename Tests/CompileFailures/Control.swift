// SPDX-License-Identifier: Apache-2.0
// expected: nothing

import Credentials

func control(_ secret: borrowing Secret, _ key: borrowing SecretKey, _ shared: SharedSecret) -> [Bool] {
    print(shared)
    return [secret.matches("x"), secret.withBytes { $0.isEmpty }, key.withBytes { $0.isEmpty }, shared.matches("x")]
}
