// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Answers to what `init` has to know of a new store.
struct InitChoices {
    /// Names of the secrets that no job starts without; a comma separates them, too.
    let required: [String]
    /// A password opens the store, and no key file is made.
    let usesPassword: Bool
    /// The usual secrets are required, which nobody asked for.
    var isUsual = false

    /// Required where nobody can be asked: what a job needs that pushes and signs an image.
    private static let usual = Self(
        required: ["GHCR_USER", "GHCR_TOKEN", "COSIGN_KEY"],
        usesPassword: false,
        isUsual: true
    )

    /// Asks on the terminal that standard input is.
    ///
    /// - Parameters:
    ///   - asksForKey: whether it is open what opens the store.
    ///   - console: where the questions go.
    /// - Returns: the answers; where nobody can be asked, the usual ones.
    /// - Throws: class `failed` where the terminal ended.
    static func asked(asksForKey: Bool, _ console: Console) throws(CommandError) -> Self {
        guard isatty(0) == 1 else { return usual }
        let names = try answer("secrets that no job may start without, such as API_TOKEN (none):", console)
        var usesPassword = false
        if asksForKey {
            let ways = ["": false, "key": false, "k": false, "password": true, "p": true]
            var way: Bool?
            while way == nil {
                way = ways[try answer("open the store with a key file or a password? [key/password] (key):", console)]
            }
            usesPassword = way == true
        }
        let required = names.split { $0 == " " || $0 == "," || $0 == "\t" }.map(String.init)
        return Self(required: required, usesPassword: usesPassword)
    }

    private static func answer(_ question: String, _ console: Console) throws(CommandError) -> String {
        guard let answer = console.ask(question) else {
            throw CommandError(.failed, "the terminal ended before an answer", hint: "nothing was made")
        }
        return answer
    }
}
