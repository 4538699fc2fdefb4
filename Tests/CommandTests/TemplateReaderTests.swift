// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// The templates of docs/templates.md, read by the programs that they are for.
@Suite(.enabled(if: TemplateCommandTests.canMount, "needs root and /dev/fuse"), .timeLimit(.minutes(10)))
struct TemplateReaderTests {
    /// Values with what each syntax has to quote.
    private static let secrets = [
        "GHCR_USER": "octocat", "GHCR_TOKEN": #"not a real "token" \ 1"#,
        "DB_USER": "app", "DB_PASSWORD": "p@ss/w%rd #1\n", "KUBE_CA": "-----BEGIN X-----\nbm9uZQ==\n-----END X-----\n",
        "KUBE_TOKEN": "token: \"quoted\"\n",
    ]

    /// The template of a name in the document.
    private static func template(_ name: String) throws -> String {
        let text = String(decoding: try Files.read(PackageDirectory.root + "docs/templates.md"), as: UTF8.self)
        let start = try #require(text.range(of: "```text template=\(name)\n"))
        let end = try #require(text.range(of: "```\n", range: start.upperBound..<text.endIndex))
        return String(text[start.upperBound..<end.lowerBound])
    }

    /// Runs a script of the shell as a job that has one rendered file and nothing else.
    private func read(
        _ name: String,
        _ script: String,
        adding more: [String: String] = [:],
        at location: SourceLocation = #_sourceLocation
    ) async throws -> String {
        let box = try await JobBox(Self.secrets)
        for (name, value) in more { try await box.sandbox.succeed("set", name, input: Array(value.utf8)) }
        try await box.sandbox.succeed("set", name, "--template", "-", input: Array(Self.template(name).utf8))
        let path = ["PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/bin"]
        let outcome = try await box.run(["--only", name], shell: "set -eu\ncd \"$HOME\"\n" + script, adding: path)
        #expect(outcome.status == .exited(0), "\(outcome.outputText)\(outcome.errorText)", sourceLocation: location)
        try box.expectNothingLeft()
        return outcome.outputText
    }

    private static func isInstalled(_ program: String) -> Bool {
        ["/usr/local/bin", "/usr/sbin", "/usr/bin", "/bin"].contains { Files.exists("\($0)/\(program)") }
    }

    @Test func curlReadsNetrc() async throws {
        let found = try await read(
            "NETRC",
            """
            cat >server.py <<'EOF'
            import base64, http.server
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write(base64.b64decode(self.headers["Authorization"].split()[1]))
                def log_message(self, *arguments):
                    pass
            server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
            print(server.server_port, flush=True)
            server.handle_request()
            EOF
            exec 3< <(exec /usr/bin/python3 server.py)
            read -r port <&3
            curl --silent --max-time 60 --netrc-file "$NETRC_FILE" "http://127.0.0.1:$port/"
            """
        )
        #expect(found == #"octocat:not a real "token" \ 1"#)
    }

    @Test func psqlReadsPgpass() async throws {
        // A server that asks for the password in clear text (PostgreSQL, "Message Formats") and tells what it got.
        let found = try await read(
            "PGPASS",
            """
            cat >server.py <<'EOF'
            import socket, struct
            server = socket.create_server(("127.0.0.1", 0))
            server.settimeout(60)
            print(server.getsockname()[1], flush=True)
            client, _ = server.accept()
            def message(kind):
                if kind:
                    assert client.recv(1) == kind
                size = struct.unpack("!I", client.recv(4, socket.MSG_WAITALL))[0]
                return client.recv(size - 4, socket.MSG_WAITALL)
            while message(b"")[:4] != struct.pack("!I", 196608):
                client.sendall(b"N")
            client.sendall(b"R" + struct.pack("!II", 8, 3))
            print(message(b"p"), flush=True)
            EOF
            exec 3< <(exec /usr/bin/python3 server.py)
            read -r port <&3
            PGPASSFILE=$PGPASS_FILE psql --no-password -h 127.0.0.1 -p "$port" -U app -d app -c 'select 1' >/dev/null 2>&1 || true
            read -r password <&3
            printf '%s' "$password"
            """,
            adding: ["DB_PASSWORD": #"p:w%\\r\d*"# + "\n"]
        )
        #expect(found == #"b'p:w%\\\\r\\d*\x00'"#)
    }

    @Test(.enabled(if: isInstalled("mariadb"), "needs a client of MariaDB"))
    func mariadbReadsItsDefaults() async throws {
        let found = try await read("MY_CNF", #"mariadb --defaults-file="$MY_CNF_FILE" --print-defaults"#)
        #expect(found.contains("\n--user=app --password=p@ss/w%rd #1\n"), "\(found)")
    }

    @Test(.enabled(if: isInstalled("podman"), "needs podman"))
    func podmanReadsTheLogin() async throws {
        let found = try await read(
            "AUTH_JSON",
            #"podman login --get-login --authfile "$AUTH_JSON_FILE" ghcr.io; cat "$AUTH_JSON_FILE""#
        )
        let lines = found.split(separator: "\n", maxSplits: 1).map(String.init)
        #expect(lines.first == "octocat")
        let object = try JSONDecoder().decode([String: [String: [String: String]]].self, from: Data(lines[1].utf8))
        let login = try #require(object["auths"]?["ghcr.io"]?["auth"].flatMap { Data(base64Encoded: $0) })
        #expect(String(decoding: login, as: UTF8.self) == #"octocat:not a real "token" \ 1"#)
    }

    @Test(.enabled(if: isInstalled("kubectl"), "needs kubectl"))
    func kubectlReadsItsConfiguration() async throws {
        let path = "-o jsonpath="
        let found = try await read(
            "KUBECONFIG",
            """
            export KUBECONFIG=$KUBECONFIG_FILE
            kubectl config view --raw \(path)'{.users[0].user.token}|'
            kubectl config view --raw \(path)'{.clusters[0].cluster.certificate-authority-data}' | base64 --decode
            """
        )
        #expect(found == "token: \"quoted\"|" + (Self.secrets["KUBE_CA"] ?? ""))
    }

    /// The document says which values a dotenv file can hold, so this token has no quotes of both kinds.
    @Test func nodePythonAndShellsReadDotenv() async throws {
        let line = "postgres://app:p%40ss%2Fw%25rd%20%231%0A@db.example/app|a token 'here' #2\n"
        let found = try await read(
            "DOTENV",
            """
            node --env-file="$DOTENV_FILE" -e 'console.log(process.env.DATABASE_URL + "|" + process.env.API_TOKEN)'
            /usr/bin/python3 -c 'import dotenv, os
            values = dotenv.dotenv_values(os.environ["DOTENV_FILE"])
            print(values["DATABASE_URL"] + "|" + values["API_TOKEN"])'
            sh -c '. "$DOTENV_FILE"; printf "%s|%s\\n" "$DATABASE_URL" "$API_TOKEN"'
            """,
            adding: ["GHCR_TOKEN": "a token 'here' #2"]
        )
        #expect(found == line + line + line)
    }

    @Test(.enabled(if: isInstalled("haproxy"), "needs haproxy"))
    func haproxyReadsCertificateAndKey() async throws {
        let directory = try TemporaryDirectory()
        let (key, certificate) = (directory.path("key.pem"), directory.path("certificate.pem"))
        let made = try await ChildProcess.run(
            "/usr/bin/openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
                "-out", certificate, "-subj", "/CN=localhost", "-days", "1",
            ],
            environment: ["PATH": "/usr/bin", "HOME": directory.path]
        )
        try #require(made.status == .exited(0), "\(made.errorText)")
        let found = try await read(
            "HAPROXY_PEM",
            """
            printf 'defaults\\n mode http\\n timeout client 1s\\n timeout connect 1s\\n timeout server 1s\\n' >haproxy.cfg
            printf 'frontend web\\n bind 127.0.0.1:44443 ssl crt "%s"\\n' "$HAPROXY_PEM_FILE" >>haproxy.cfg
            haproxy -c -f haproxy.cfg >&2
            openssl pkey -in "$HAPROXY_PEM_FILE" -pubout
            openssl x509 -in "$HAPROXY_PEM_FILE" -noout -pubkey
            """,
            adding: [
                "TLS_KEY": String(decoding: try Files.read(key), as: UTF8.self),
                "TLS_CERTIFICATE": String(decoding: try Files.read(certificate), as: UTF8.self),
            ]
        )
        let half = found.count / 2
        #expect(found.hasPrefix("-----BEGIN PUBLIC KEY-----") && found.prefix(half) == found.suffix(half))
    }

    /// Every template of the document has its test here.
    @Test func everyTemplateOfTheDocumentIsRead() throws {
        let text = String(decoding: try Files.read(PackageDirectory.root + "docs/templates.md"), as: UTF8.self)
        let names = text.split(separator: "\n").filter { $0.hasPrefix("```text template=") }.map { $0.dropFirst(17) }
        #expect(names.sorted() == ["AUTH_JSON", "DOTENV", "HAPROXY_PEM", "KUBECONFIG", "MY_CNF", "NETRC", "PGPASS"])
    }
}
