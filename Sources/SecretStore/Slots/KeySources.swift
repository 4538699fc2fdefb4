// SPDX-License-Identifier: Apache-2.0

package import SecureFiles
package import SecureMemory

/// Places where a command finds key material beside its options.
package protocol KeySources {
    /// Judge of the files.
    var checker: PermissionChecker { get }
    /// Path in a variable; an empty one counts as absent.
    func path(_ variable: String) -> String?
    /// Path by which a file is found that was named at the start of the process.
    func located(_ path: String) -> String
    /// Presence of a secret in a variable that was not taken yet.
    func hasSecret(_ variable: String) -> Bool
    func takeSecret(_ variable: String) throws -> SecureBuffer
    /// Prompt: a person would have to type the password.
    var asksForPassword: Bool { get }
    /// Password that a variable names, or the answer to a question.
    func password(for store: StoreLocation) throws -> SecureBuffer
}

/// Key material that can be had, decided before anything is read.
package struct KeyOffer {
    /// Prompt: a person answers, who may be asked again.
    package var asks = false
    /// Guess: it waits for the end of a lockout.
    package var isGuess = false
    package let read: () throws -> KeyMaterial

    package init(asks: Bool = false, isGuess: Bool = false, read: @escaping () throws -> KeyMaterial) {
        self.asks = asks
        self.isGuess = isGuess
        self.read = read
    }
}
