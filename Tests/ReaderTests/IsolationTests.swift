// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Testing

extension Readers {
    /// What each way changes for the program that runs in it; docs/operations.md tells it to people.
    struct Isolations {
        static let ordinary = Way.all.filter { $0.user == .ordinary && $0.manner != .mounted }

        @Test(arguments: ordinary) func sshRefusesDropInsOfRootInAUserNamespace(_ way: Way) async throws {
            let host = try Host.current
            let outcome = try await host.run(way, "ssh -G 127.0.0.1", adding: ["OPTIONS": "--verbose"])
            let message = "Bad owner or permissions on /etc/ssh/ssh_config.d/site.conf"
            if way.isInUserNamespace {
                #expect(outcome.job.status == .exited(255))
                #expect(outcome.job.errorText.contains(message))
                #expect(outcome.job.errorText.contains("credfs: hint: the job ran in a user namespace"))
                let without = try await host.read(way, "ssh -F none -G 127.0.0.1")
                #expect(without.contains("host 127.0.0.1"))
            } else {
                #expect(outcome.job.status == .exited(0))
                #expect(outcome.text.contains("serveraliveinterval 30") && !outcome.job.errorText.contains(message))
            }
        }

        @Test(arguments: ordinary) func setuidProgramsGainNothingInAUserNamespace(_ way: Way) async throws {
            let outcome = try await Host.current.run(
                way,
                #""$WORLD/id" -u"#,
                as: Host.asOrdinaryUser(isBound: false)
            )
            #expect(outcome.job.status == .exited(0), "\(outcome.job.errorText)")
            #expect(outcome.text == (way.isInUserNamespace ? Host.ordinaryUser : "0") + "\n")
        }

        @Test(arguments: ordinary) func othersAreNobodyInAUserNamespace(_ way: Way) async throws {
            // Group 4 can be used as before, but it has no name and can be given to no file.
            let outcome = try await Host.current.run(
                way,
                """
                stat --format=%u /etc/passwd "$HOME" "$PASSWORD_FILE"
                id -G
                touch file
                chgrp 4 file 2>&1 || true
                """,
                as: Host.asOrdinaryUser(isBound: !way.allowsNewPrivileges, groups: "4")
            )
            let user = Host.ordinaryUser
            let found = outcome.text.split(separator: "\n").map(String.init)
            if way.isInUserNamespace {
                let refusal = "chgrp: changing group of 'file': Invalid argument"
                #expect(found == ["65534", user, user, "\(user) 65534", refusal])
            } else {
                #expect(found == ["0", user, user, "\(user) 4"])
            }
        }

        @Test(arguments: ordinary) func gitJudgesOwnersAlikeEverywhere(_ way: Way) async throws {
            let found = try await Host.current.read(
                way,
                """
                git init --quiet own
                git -C own status --short --branch
                git -C "$WORLD/repository" status 2>&1 | head -n 1
                git config --global safe.directory "$WORLD/repository"
                git -C "$WORLD/repository" status --short --branch
                """
            )
            let lines = found.split(separator: "\n")
            #expect(
                lines.count == 3 && lines.first?.hasPrefix("## No commits yet") == true && lines.first == lines.last
            )
            #expect(lines.dropFirst().first?.hasPrefix("fatal: detected dubious ownership in repository") == true)
        }

        @Test(arguments: Way.all) func aPathMeansSomethingToOthersOnlyWhereTheMountIsVisible(_ way: Way) async throws {
            let script = """
                printf '%s\\n' "$PASSWORD_FILE" >ask
                cat answer
                """
            let before = """
                mkfifo ask answer
                { read -r path <ask; cat "$path" >answer 2>&1 || true; } &
                """
            let found = try await Host.current.read(way, script, before: before)
            switch way.manner {
            case .isolated, .ramfs, .tmpfs: #expect(found.hasSuffix(": No such file or directory\n"))
            case .shared:
                #expect(found.hasSuffix(": Permission denied\n"))
                let any = try await Host.current.read(
                    way,
                    script,
                    adding: ["OPTIONS": "--callers=owner"],
                    before: before
                )
                #expect(any == "not-a-real-password")
            case .mounted, .shm: #expect(found == "not-a-real-password")
            }
        }

        @Test(arguments: Way.all.filter { $0.manner != .mounted }) func aJobInAJobNeedsTheStore(_ way: Way) async throws
        {
            let inner = #""$CREDFS" run -- sh -c 'cat "$PASSWORD_FILE"'"#
            let host = try Host.current
            let outcome = try await host.run(way, inner)
            let isCovered = !way.isVisible
            #expect(outcome.job.status == .exited(isCovered ? 125 : 0), "\(outcome.job.errorText)")
            #expect(outcome.job.errorText.contains("no store at") == isCovered)
            if isCovered {
                let kept = try await host.read(way, inner, adding: ["OPTIONS": "--keep-store"])
                #expect(kept == "not-a-real-password")
            }
        }

        @Test func sharedNeedsAnotherWayWhereNoPrivilegesCanBeGained() async throws {
            let shared = Way(user: .ordinary, manner: .shared)
            let host = try Host.current
            let outcome = try await host.run(shared, "true", as: Host.asOrdinaryUser(isBound: true))
            #expect(outcome.job.status == .exited(125))
            #expect(outcome.job.errorText.contains("credfs: error: cannot mount at "))
            #expect(outcome.job.errorText.contains("Operation not permitted"))
            // The same inside a user namespace, where fusermount3 is not setuid either.
            let nested = try await host.run(
                Way(user: .ordinary, manner: .isolated),
                #""$CREDFS" run --shared -- true"#,
                adding: ["OPTIONS": "--keep-store"],
                as: Host.asOrdinaryUser(isBound: false)
            )
            #expect(nested.job.status == .exited(125))
            #expect(nested.job.errorText.contains("Operation not permitted"))
        }

        /// As in a container: root, but without CAP_SYS_ADMIN.
        @Test func rootWithoutCapabilitiesIsInAUserNamespaceToo() async throws {
            let way = Way(user: .root, manner: .isolated)
            let container = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin", "--"]
            let found = try await Host.current.run(
                way,
                """
                cat "$PASSWORD_FILE"
                printf ' '
                stat --format=%u /etc/passwd "$EXPECTED/../../ordinary"
                touch file
                chown \(Host.ordinaryUser) file 2>&1 || true
                ls "$EXPECTED/../../ordinary" >/dev/null 2>&1 || echo "$?"
                """,
                as: container
            )
            #expect(found.job.status == .exited(0), "\(found.job.errorText)")
            let refusal = "chown: changing ownership of 'file': Invalid argument"
            #expect(found.text == "not-a-real-password 0\n65534\n\(refusal)\n2\n")
            let shared = try await Host.current.run(Way(user: .root, manner: .shared), "true", as: container)
            #expect(shared.job.status == .exited(125))
            #expect(shared.job.errorText.contains("Operation not permitted"))
            let files = try await Host.current.run(
                Way(user: .root, manner: .shm),
                #"cat "$PASSWORD_FILE""#,
                as: container
            )
            #expect(files.text == "not-a-real-password", "\(files.job.errorText)")
        }

        /// The number that a user namespace shows for every user but its own.
        @Test func nobodyOwnsEverythingInAUserNamespace() async throws {
            let host = try Host.current
            let home = host.directory.path("nobody")
            try await Host.tool(
                """
                mkdir "$1" "$1/run"
                cp -a "$2/store" "$1/"
                chown -R 65534:65534 "$1"
                chmod 0700 "$1" "$1/run"
                """,
                home,
                host.home(.ordinary)
            )
            let outcome = try await host.run(
                Way(user: .ordinary, manner: .isolated),
                "stat --format=%u /etc/passwd; ssh -G 127.0.0.1 | grep serveraliveinterval",
                adding: [
                    "HOME": home, "TMPDIR": home, "CREDFS_STORE": "\(home)/store", "XDG_RUNTIME_DIR": "\(home)/run",
                ],
                as: ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs", "--"]
            )
            #expect(outcome.text == "65534\nserveraliveinterval 30\n", "\(outcome.job.errorText)")
            try await Host.tool(#"rmdir "$1/run""#, home)
        }
    }
}
