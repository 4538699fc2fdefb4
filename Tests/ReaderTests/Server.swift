// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Glibc
import Testing

/// A real server on loopback, with its files in a directory of the host's and a port of its own.
actor Server {
    let port: String
    private let process: ChildProcess.Running
    private let stopSignal: Int32

    /// Starts a server and waits until it takes connections.
    ///
    /// - Parameters:
    ///   - command: its program and arguments; it stays in the foreground.
    ///   - stopSignal: ends it with all that belongs to it.
    ///   - port: where it listens.
    /// - Throws: `Failure` with what it said, if it does not.
    init(_ command: [String], stopSignal: Int32 = SIGTERM, port: String) async throws {
        self.port = port
        self.stopSignal = stopSignal
        process = try ChildProcess.Running(
            "/usr/bin/env",
            ["--"] + command,
            environment: ["PATH": Host.path, "LC_ALL": "C"]
        )
        do {
            try await Host.tool(
                """
                for attempt in {1..200}; do
                    if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then exit 0; fi
                    kill -0 "$2"
                    sleep 0.05
                done
                exit 1
                """,
                port,
                "\(process.id)"
            )
        } catch {
            let outcome = try await stop()
            throw Failure(command: command, output: outcome.outputText + outcome.errorText)
        }
    }

    struct Failure: Error {
        let command: [String]
        let output: String
    }

    /// Ends it.
    @discardableResult
    func stop() async throws -> ChildProcess.Outcome {
        kill(process.id, stopSignal)
        return try await process.end(within: .seconds(300))
    }

    /// A port that nobody has.
    static func freePort() async throws -> String {
        let program = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1], end='')"
        return try await Host.tool("python3 -I -c \"$1\"", program)
    }
}

/// The servers of the running suites.
enum Servers {
    @TaskLocal static var shell: Server?
    @TaskLocal static var web: Server?
    @TaskLocal static var database: Server?
}

extension Trait where Self == Lent<Server> {
    /// sshd, with a host key of its own; the key SSH_KEY opens root's account.
    static var shellServer: Self {
        Lent(place: Servers.$shell, make: makeShellServer, takeAway: { try await $0.stop() })
    }

    /// nginx, for those with the client certificate; below /git a repository, for those with the password, too.
    static var webServer: Self {
        Lent(place: Servers.$web, make: makeWebServer, takeAway: { try await $0.stop() })
    }

    /// A cluster of PostgreSQL with the user `reader`, for those with certificate and password.
    static var databaseServer: Self {
        Lent(place: Servers.$database, make: makeDatabaseServer, takeAway: { try await $0.stop() })
    }
}

@Sendable private func makeShellServer() async throws -> Server {
    let directory = try Host.current.directory.path
    let port = try await Server.freePort()
    try await Host.tool(
        """
        mkdir "$1/ssh"
        cd "$1/ssh"
        ssh-keygen -q -t ed25519 -N '' -f host
        cp "$1/made/SSH_KEY.pub" authorized
        printf '[127.0.0.1]:%s %s\\n' "$2" "$(cat host.pub)" >known_hosts
        chmod 0755 . && chmod 0644 known_hosts
        cat >config <<END
        Port $2
        ListenAddress 127.0.0.1
        HostKey $PWD/host
        AuthorizedKeysFile $PWD/authorized
        StrictModes no
        UsePAM no
        PidFile none
        PasswordAuthentication no
        KbdInteractiveAuthentication no
        PermitRootLogin prohibit-password
        END
        """,
        directory,
        port
    )
    // It wants /run/sshd, and gets it where nobody else sees it.
    let script = """
        mount -t tmpfs -o mode=755 tmpfs /run
        mkdir /run/sshd
        exec /usr/sbin/sshd -D -e -f "$0"
        """
    return try await Server(["unshare", "--mount", "sh", "-euc", script, "\(directory)/ssh/config"], port: port)
}

@Sendable private func makeWebServer() async throws -> Server {
    let directory = try Host.current.directory.path
    let port = try await Server.freePort()
    try await Host.tool(
        """
        mkdir "$1/web"
        cd "$1/web"
        cp "$1/made/TLS_CA" "$1/made/server.key" "$1/made/server.certificate" .
        printf 'reader:%s\\n' "$(openssl passwd -apr1 -in "$1/root/expected/PASSWORD")" >passwords
        mkdir -p files
        export HOME=$PWD GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a
        git init --quiet work
        printf 'cloned\\n' >work/file
        git -C work add file
        git -C work commit --quiet --message=first
        git clone --quiet --bare work files/git/repository.git
        git -C files/git/repository.git update-server-info
        rm -r work
        cat >config <<END
        pid $PWD/pid;
        daemon off;
        events {}
        http {
            access_log off;
            client_body_temp_path $PWD/temporary;
            proxy_temp_path $PWD/temporary;
            fastcgi_temp_path $PWD/temporary;
            uwsgi_temp_path $PWD/temporary;
            scgi_temp_path $PWD/temporary;
            server {
                listen 127.0.0.1:$2 ssl;
                ssl_certificate $PWD/server.certificate;
                ssl_certificate_key $PWD/server.key;
                ssl_client_certificate $PWD/TLS_CA;
                ssl_verify_client on;
                root $PWD/files;
                location /who { default_type text/plain; return 200 "\\$ssl_client_s_dn"; }
                location /git/ { auth_basic readers; auth_basic_user_file $PWD/passwords; }
            }
        }
        END
        chown -R "$3:$3" .
        """,
        directory,
        port,
        Host.ordinaryUser
    )
    let command = ["nginx", "-e", "stderr", "-p", "\(directory)/web", "-c", "\(directory)/web/config"]
    return try await Server(Host.asOrdinaryUser(isBound: true) + command, port: port)
}

@Sendable private func makeDatabaseServer() async throws -> Server {
    let directory = try Host.current.directory.path
    let port = try await Server.freePort()
    let programs = try await Host.tool(
        """
        programs=$(printf '%s\\n' /usr/lib/postgresql/*/bin | sort --version-sort | tail -n 1)
        mkdir "$1/database"
        cd "$1/database"
        cp "$1/made/TLS_CA" "$1/made/server.key" "$1/made/server.certificate" "$1/root/expected/DB_PASSWORD" .
        chmod 0600 server.key
        chown -R "$2:$2" .
        shift
        shift
        "$@" "$programs/initdb" --pgdata=data --username=reader --pwfile=DB_PASSWORD --auth=scram-sha-256 --no-sync \\
            --encoding=UTF8 --locale=C >/dev/null
        printf 'hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\\n' >data/pg_hba.conf
        printf '%s' "$programs"
        """,
        directory,
        Host.ordinaryUser,
        arguments: Host.asOrdinaryUser(isBound: true)
    )
    let place = "\(directory)/database"
    let settings = [
        "listen_addresses=127.0.0.1", "port=\(port)", "unix_socket_directories=", "fsync=off", "shared_buffers=1MB",
        "dynamic_shared_memory_type=mmap", "ssl=on", "ssl_cert_file=\(place)/server.certificate",
        "ssl_key_file=\(place)/server.key", "ssl_ca_file=\(place)/TLS_CA",
    ]
    let command = ["\(programs)/postgres", "-D", "\(place)/data"] + settings.flatMap { ["-c", $0] }
    // Fast shutdown: SIGTERM would wait for clients.
    return try await Server(Host.asOrdinaryUser(isBound: true) + command, stopSignal: SIGINT, port: port)
}
