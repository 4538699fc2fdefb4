// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Testing

extension Readers {
    /// Programs that are told by a variable or an option where a secret is.
    struct Tools {
        @Test(arguments: Way.all) func entrypointsTakeVariablesFromFiles(_ way: Way) async throws {
            // As in the images of databases: a value or the path of one, never both.
            let entrypoint = """
                file_env() {
                    local var="$1" fileVar="${1}_FILE" def="${2:-}"
                    if [ "${!var:-}" ] && [ "${!fileVar:-}" ]; then
                        printf >&2 'error: both %s and %s are set (but are exclusive)\\n' "$var" "$fileVar"
                        exit 1
                    fi
                    local val="$def"
                    if [ "${!var:-}" ]; then
                        val="${!var}"
                    elif [ "${!fileVar:-}" ]; then
                        val="$(< "${!fileVar}")"
                    fi
                    export "$var"="$val"
                    unset "$fileVar"
                }
                file_env PASSWORD
                file_env PASSPHRASE
                file_env EMPTY 'a default'
                file_env NAME_WITH_SPACES
                exec printf '%s|' "$PASSWORD" "$PASSPHRASE" "$EMPTY" "$NAME_WITH_SPACES" "${PASSWORD_FILE-none}"
                """
            let found = try await Host.current.read(way, entrypoint, shell: "/bin/bash")
            #expect(found == "not-a-real-password|not a real passphrase|a default|spaced|none|")
        }

        @Test(arguments: Way.all) func systemdCredsFindsItsOwnLayout(_ way: Way) async throws {
            let host = try Host.current
            let found = try await host.read(
                way,
                """
                systemd-creds cat PASSWORD 'name with spaces'
                systemd-creds cat BINARY | cmp - "$EXPECTED/BINARY"
                systemd-creds cat NOWHERE 2>/dev/null || printf ' %s\\n' $?
                systemd-creds list --json=short
                """
            )
            let lines = found.split(separator: "\n")
            #expect(lines.first == "not-a-real-passwordspaced 1")
            let list = try #require(lines.last)
            for (name, value) in host.secrets where !value.isEmpty {
                // To systemd only ramfs, and tmpfs that is never swapped, is memory.
                let isSecure = list.contains("\"name\":\"\(name)\",\"secure\":\"secure\",\"size\":\(value.count)")
                let isWeak = list.contains("\"name\":\"\(name)\",\"secure\":\"weak\",\"size\":\(value.count)")
                #expect(isSecure || isWeak, "\(name) in \(list)")
                if way.manner == .ramfs { #expect(isSecure) }
                if way.isServed || way.manner == .shm { #expect(isWeak) }
            }
        }

        @Test(arguments: Way.all) func gpgTakesThePassphraseFromTheFile(_ way: Way) async throws {
            let found = try await Host.current.read(
                way,
                """
                mkdir -m 700 "$HOME/gnupg"
                export GNUPGHOME="$HOME/gnupg"
                trap 'gpgconf --kill all' EXIT
                options='--batch --quiet --pinentry-mode loopback --passphrase-file'
                printf 'a message' | gpg --s2k-count 65536 $options "$EXPECTED/PASSPHRASE" --symmetric --output sealed
                gpg $options "$PASSPHRASE_FILE" --decrypt sealed
                if gpg $options "$PASSWORD_FILE" --decrypt sealed 2>/dev/null; then exit 9; fi
                """
            )
            #expect(found == "a message")
        }

        @Test(arguments: Way.all) func gitAsksAHelperThatReadsTheFile(_ way: Way) async throws {
            let found = try await Host.current.read(
                way,
                """
                git config --global credential.helper \\
                    '!f() { test "$1" != get || printf "username=reader\\npassword=%s\\n" "$(cat "$PASSWORD_FILE")"; }; f'
                printf 'protocol=https\\nhost=127.0.0.1\\n\\n' | GIT_TERMINAL_PROMPT=0 git credential fill
                """
            )
            #expect(found.contains("username=reader\npassword=not-a-real-password\n"))
        }
    }
}
