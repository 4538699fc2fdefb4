// SPDX-License-Identifier: Apache-2.0

// Signs every line of standard input with a key that is derived from the master key for this purpose alone.
// Writes `SIGNATURE LINE` for each.

import Credentials
import Glibc

do {
    // $MASTER_KEY_FILE, else $CREDENTIALS_DIRECTORY/master_key, else /run/secrets/master_key: 64 hexadecimal digits.
    let source = CredentialSource.firstExisting([.variable("MASTER_KEY"), .standard("master_key")])
    let key = try SecretKey.derive(from: SecretKey(hexDigitsFrom: source), domain: "example.com/worker/signature/v1")
    while let line = readLine() {
        let signature = try key.hmacSHA256(of: line).map { byte in
            (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
        print(signature.joined(), line)
    }
} catch {
    let message = "signing-worker: error: \(error)\n"
    write(2, message, message.utf8.count)
    exit(1)
}
