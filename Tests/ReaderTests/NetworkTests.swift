// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Testing

extension Readers {
    /// ssh, which wants a private key that nobody else can read.
    @Suite(.shellServer) struct Shell {
        @Test(arguments: Way.all) func sshLogsInWithTheKey(_ way: Way) async throws {
            let server = try #require(Servers.shell)
            // The drop-in is there for everybody; Isolations shows what it does in a user namespace.
            let found = try await Host.current.read(
                way,
                """
                ls /etc/ssh/ssh_config.d
                ssh \(way.isInUserNamespace ? "-F none" : "") -i "$SSH_KEY_FILE" -p "$PORT" -o BatchMode=yes \\
                    -o IdentitiesOnly=yes -o UserKnownHostsFile="${WORLD%/world}/ssh/known_hosts" root@127.0.0.1 \\
                    printf reached
                """,
                adding: ["PORT": server.port],
                isInWorld: true
            )
            #expect(found == "site.conf\nreached")
        }
    }

    /// Programs that speak TLS with a client certificate.
    @Suite(.webServer) struct Web {
        @Test(arguments: Way.all) func curlShowsTheCertificate(_ way: Way) async throws {
            let server = try #require(Servers.web)
            let found = try await Host.current.read(
                way,
                """
                curl --silent --show-error --fail --cacert "$TLS_CA_FILE" --cert "$TLS_CERTIFICATE_FILE" \\
                    --key "$TLS_KEY_FILE" "https://127.0.0.1:$PORT/who"
                curl --silent --cacert "$TLS_CA_FILE" --write-out ' %{http_code}' --output /dev/null \\
                    "https://127.0.0.1:$PORT/who"
                """,
                adding: ["PORT": server.port]
            )
            #expect(found == "CN=client 400")
        }

        @Test(arguments: Way.all) func gitClonesWithCertificateAndHelper(_ way: Way) async throws {
            let server = try #require(Servers.web)
            let found = try await Host.current.read(
                way,
                """
                export GIT_TERMINAL_PROMPT=0
                git config --global http.sslCAInfo "$TLS_CA_FILE"
                git config --global http.sslCert "$TLS_CERTIFICATE_FILE"
                git config --global http.sslKey "$TLS_KEY_FILE"
                if git clone --quiet "https://127.0.0.1:$PORT/git/repository.git" refused 2>/dev/null; then exit 9; fi
                git config --global credential.helper \\
                    '!f() { test "$1" != get || printf "username=reader\\npassword=%s\\n" "$(cat "$PASSWORD_FILE")"; }; f'
                git clone --quiet "https://127.0.0.1:$PORT/git/repository.git" clone
                cat clone/file
                """,
                adding: ["PORT": server.port]
            )
            #expect(found == "cloned\n")
        }
    }

    /// psql, which ignores a password file, and refuses a key, that others could read.
    @Suite(.databaseServer) struct Database {
        @Test(arguments: Way.all) func psqlReadsPasswordAndKey(_ way: Way) async throws {
            let server = try #require(Servers.database)
            let found = try await Host.current.read(
                way,
                """
                export PGHOST=127.0.0.1 PGPORT="$PORT" PGUSER=reader PGDATABASE=postgres PGSSLMODE=verify-full
                export PGSSLROOTCERT="$TLS_CA_FILE" PGSSLCERT="$TLS_CERTIFICATE_FILE" PGSSLKEY="$TLS_KEY_FILE"
                PGPASSFILE="$PASSWORD_LINE_FILE" psql -X -w -At -c 'select 40 + 2'
                PGPASSFILE=/dev/null psql -X -w -At -c 'select 40 + 2' 2>/dev/null || printf '%s' $?
                """,
                adding: ["PORT": server.port]
            )
            #expect(found == "42\n2")
        }
    }
}
