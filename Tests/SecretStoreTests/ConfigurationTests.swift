// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Glibc
import SecretStore
import SecureFiles
import Testing

/// `credfs.yaml`: what it says, and where it is looked for.
@Suite final class ConfigurationTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func read(_ text: String) throws -> Configuration { try Configuration.read(Array(text.utf8).span) }

    @Test func itSaysWhereCopiesOfTheLogGo() throws {
        for word in Configuration.Forwarding.allCases {
            #expect(try read("audit:\n  forward: \(word.rawValue)\n").forwarding == word)
        }
        for blank in ["", "\n", "  \n# audit:\n#   forward: syslog\n", "{}\n"] {
            #expect(try read(blank) == Configuration())
        }
    }

    @Test(arguments: [
        "nonsense: 1\n", "audit:\n  other: 1\n", "audit:\n  forward: printer\n", "audit: journald\n", "- audit\n",
        "audit:\n  forward: syslog\n---\naudit: {}\n",
    ])
    func anythingElseIsRefused(_ text: String) {
        #expect(failure { try read(text) }?.code == .invalid)
    }

    @Test func itListsSourcesAndWhatIsNoSecret() throws {
        let configuration = try read(
            """
            sources:
              - dir:/run/secrets
              - source: exec:pass
                names: [A, B]
                ttl: 60s
            default:
              LOG_LEVEL: info
            """
        )
        #expect(configuration.sources.map(\.address) == ["dir:/run/secrets", "exec:pass"])
        #expect(configuration.sources[0].settings.isEmpty)
        #expect(configuration.sources[1].settings.map(\.key) == ["names", "ttl"])
        #expect(configuration.sources[1].settings.map(\.value) == ["A,B", "60s"])
        #expect(configuration.defaults.map(\.name.text) == ["LOG_LEVEL"])
        #expect(configuration.defaults.map(\.value) == ["info"])
    }

    @Test(arguments: [
        "sources: [[]]\n", "sources: [{ttl: 60s}]\n", "sources: [{source: a, other: b}]\n",
        "sources: [{source: a, names: [[]]}]\n", "default: {a/b/c: x}\n", "sources: a\n",
    ])
    func aSourceThatCannotBeMeantIsRefused(_ text: String) {
        #expect(failure { try read(text) }?.code == .invalid)
    }

    private func find(_ path: String? = nil, store: String? = nil, _ variables: [String: String] = [:]) throws
        -> Configuration.Found
    {
        try Configuration.find(named: path, store: store, PermissionChecker(isStrict: true)) { variables[$0] }
    }

    @Test func theNamedOneThenThatOfTheStoreThenThatOfTheUser() throws {
        for name in ["store", "home", "home/credfs"] { unsafe mkdir(directory.path(name), 0o700) }
        for (path, word) in [
            ("named.yaml", "stderr"), ("store/credfs.yaml", "syslog"), ("home/credfs/credfs.yaml", "journald"),
        ] {
            try directory.write("audit:\n  forward: \(word)\n".utf8, to: path, permissions: 0o600)
        }
        let variables = ["XDG_CONFIG_HOME": directory.path("home")]
        let store = directory.path("store")
        #expect(try find(directory.path("named.yaml"), store: store, variables).configuration.forwarding == .stderr)
        #expect(try find(store: store, variables).configuration.forwarding == .syslog)
        #expect(try find(store: directory.path("absent"), variables).path?.hasSuffix("home/credfs/credfs.yaml") == true)
        unsafe unlink(directory.path("home/credfs/credfs.yaml"))
        // What is in /etc/credfs is this machine's.
        let last = try find(store: directory.path("absent"), variables)
        #expect(last == .none || last.path == "/etc/credfs/credfs.yaml")
    }

    @Test func oneThatIsNamedMustBeThereAndBeItsOwners() throws {
        #expect(failure { try find(directory.path("absent.yaml")) }?.code == .failed)
        #expect(failure { try find(directory.path("absent/credfs.yaml")) }?.code == .failed)
        try directory.write("nonsense: 1\n".utf8, to: "wrong.yaml", permissions: 0o600)
        let wrong = failure { try find(directory.path("wrong.yaml")) }
        #expect(wrong?.code == .invalid && wrong?.message.hasPrefix(directory.path("wrong.yaml")) == true)
        try directory.write("{}\n".utf8, to: "open.yaml", permissions: 0o600)
        unsafe chmod(directory.path("open.yaml"), 0o666)
        #expect(failure { try find(directory.path("open.yaml")) }?.code == .permissions)
    }
}
