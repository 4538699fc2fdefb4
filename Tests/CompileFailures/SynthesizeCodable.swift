// SPDX-License-Identifier: Apache-2.0
// expected: does not conform to protocol 'Decodable'|does not conform to protocol 'Encodable'

import Credentials

struct Login: Codable {
    let password: SharedSecret
}
