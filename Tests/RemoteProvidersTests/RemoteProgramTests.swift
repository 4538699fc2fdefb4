// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import SecretProviders
import Testing

/// The program credfs-remote against AWS on this machine: moto, which checks each signature and right, and a double.
@Suite(.timeLimit(.minutes(10))) struct RemoteProgramTests {
    private static let largest = "1048576"

    private static func text(_ index: Int) -> String { "value \(index)\n\"\u{e9}\"" }

    // ---- Values

    @Test func aPathOfThreePagesIsListedWithItsValues() async throws {
        let server = try await AWSServer.get()
        let remote = try Remote(["ssm", Self.largest, "/app/"], server.variables(server.facts.reader))
        let names = (0..<25).map { "P" + ($0 < 10 ? "0" : "") + String($0) }
        #expect(try await remote.list() == .success(names))
        // Those of the listing, then those of requests for ten.
        for _ in 1...2 {
            let values = try await remote.fetch(names + ["DEEP", "NONE"])
            #expect(values.count == 27)
            for (index, name) in names.enumerated() {
                #expect(values[name] == .success(Array(Self.text(index).utf8)), "\(name)")
            }
            for name in ["DEEP", "NONE"] {
                #expect(values[name] == .failure(ProviderError(.notFound, "AWS knows no such parameter")))
            }
        }
    }

    @Test func namesStandForVersionsLabelsAndOtherParameters() async throws {
        let server = try await AWSServer.get()
        let ids = [
            "name:OLD=VERSIONED:1", "name:GOOD=VERSIONED:good", "name:NEW=/other/VERSIONED", "name:GONE=VERSIONED:77",
            "name:ALONE=/app/P07", "name:MEMBER=VERSIONED#key",
        ]
        let remote = try Remote(["ssm", Self.largest, "/other/"] + ids, server.variables(server.facts.reader))
        let values = try await remote.fetch(["OLD", "GOOD", "NEW", "VERSIONED", "GONE", "ALONE", "MEMBER"])
        #expect(values["OLD"] == .success(Array("first".utf8)))
        #expect(values["GOOD"] == .success(Array("second".utf8)))
        #expect(values["NEW"] == .success(Array("third".utf8)) && values["VERSIONED"] == values["NEW"])
        #expect(values["ALONE"] == .success(Array(Self.text(7).utf8)))
        #expect(values["GONE"] == .failure(ProviderError(.notFound, "AWS knows no such parameter")))
        #expect(values["MEMBER"] == .failure(ProviderError(.invalid, "the value is not JSON, and has no member")))
        let alone = try Remote(["ssm", Self.largest, "", "name:A=alone"], server.variables(server.facts.reader))
        #expect(try await alone.text("A") == "no path")
        #expect(try await alone.list() == .success(nil))
    }

    @Test func secretsComeByPrefixStageAndMember() async throws {
        let server = try await AWSServer.get()
        let ids = [
            "name:USER=db#user", "name:PORT=db#port", "name:OLD=db:AWSPREVIOUS#password", "name:NO=db#none",
            "name:ARN=\(server.facts.arn)", "name:PART=\(server.facts.arn.dropLast(7))", "name:STAGE=db:NONE",
        ]
        let remote = try Remote(["secretsmanager", Self.largest, "prod/"] + ids, server.variables(server.facts.reader))
        let listed = try await remote.list()
        #expect(listed == .success(["blob", "db", "token"]))
        for _ in 1...2 {
            let values = try await remote.fetch(["blob", "db", "token", "none"])
            #expect(values["blob"] == .success(Array(0...255)))
            #expect(values["db"] == .success(Array(#"{"user": "u2", "password": "new", "port": 5433}"#.utf8)))
            #expect(values["token"] == .success(Array("a token".utf8)))
            #expect(values["none"] == .failure(ProviderError(.notFound, "AWS knows no such secret")))
        }
        let doomed = try Remote(
            ["secretsmanager", Self.largest, "", "name:D=doomed/one"],
            server.variables(server.facts.reader)
        )
        let deleted = try await doomed.error("D")
        #expect(deleted?.kind == .notFound && deleted?.message.contains("marked for deletion") == true)
        let values = try await remote.fetch(["USER", "PORT", "OLD", "NO", "ARN", "STAGE"])
        #expect(values["USER"] == .success(Array("u2".utf8)) && values["PORT"] == .success(Array("5433".utf8)))
        #expect(values["OLD"] == .success(Array("old".utf8)))
        #expect(values["ARN"] == .success(Array("a token".utf8)))
        #expect(values["NO"] == .failure(ProviderError(.notFound, "the value has no such member")))
        guard case .failure(let error) = values["STAGE"] else { throw Unexpected() }
        #expect(error.kind == .notFound)
    }

    @Test func whatIsLargerThanAllowedIsRefused() async throws {
        let server = try await AWSServer.get()
        let remote = try Remote(
            ["ssm", "8", "/app/", "name:SHORT=/other/VERSIONED"],
            server.variables(server.facts.reader)
        )
        let values = try await remote.fetch(["SHORT", "P01"])
        #expect(values["SHORT"] == .success(Array("third".utf8)))
        #expect(values["P01"] == .failure(ProviderError(.invalid, "the value is larger than 8 bytes")))
    }

    // ---- Rights

    @Test func missingRightsAndWrongKeysAreDenied() async throws {
        let server = try await AWSServer.get()
        func error(_ changes: [String: String], _ scheme: String = "ssm") async throws -> ProviderError? {
            let variables = server.variables(server.facts.reader).merging(changes) { $1 }
            return try await Remote([scheme, Self.largest, "/app/"], variables).error("P01")
        }
        let nobody = server.facts.nobody
        let cases: [(changes: [String: String], part: String)] = [
            (["AWS_ACCESS_KEY_ID": nobody.id, "AWS_SECRET_ACCESS_KEY": nobody.secret], "AccessDenied"),
            (["AWS_SECRET_ACCESS_KEY": nobody.secret], "SignatureDoesNotMatch"),
            (["AWS_ACCESS_KEY_ID": "AKIA" + String(repeating: "A", count: 16)], "InvalidClientTokenId"),
            (["AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""], "there are no AWS keys"),
            (["AWS_ACCESS_KEY_ID": "a b"], "has what no header can have"),
            (["AWS_PROFILE": "absent", "AWS_ACCESS_KEY_ID": ""], "no AWS profile 'absent'"),
        ]
        for (changes, part) in cases {
            for scheme in ["ssm", "secretsmanager"] {
                let error = try await error(changes, scheme)
                #expect(
                    error?.kind == .denied && error?.message.contains(part) == true,
                    "\(part): \(String(describing: error))"
                )
            }
        }
        let noRegion = try await error(["AWS_REGION": ""])
        #expect(noRegion?.message == "no AWS region is named" && noRegion?.kind == .unusable)
        // Another region is another place.
        #expect(try await error(["AWS_REGION": "us-west-2"])?.kind == .notFound)
        for (address, part) in [("http://192.0.2.1", "plain http"), ("http://", "no address"), ("x", "no address")] {
            let error = try await error(["AWS_ENDPOINT_URL": address])
            #expect(error?.kind == .unusable && error?.message.hasPrefix("the endpoint of ssm is \(part)") == true)
        }
    }

    @Test func whereOneRequestMayNotAskForManyEachIsAskedForByItself() async throws {
        let server = try await AWSServer.get()
        let remote = try Remote(["secretsmanager", Self.largest, "prod/"], server.variables(server.facts.single))
        let values = try await remote.fetch(["token", "db", "none"])
        #expect(values["token"] == .success(Array("a token".utf8)))
        guard case .success = values["db"], case .failure(let error) = values["none"] else { throw Unexpected() }
        #expect(error.kind == .notFound)
        guard case .failure(let listing) = try await remote.list() else { throw Unexpected() }
        #expect(listing.kind == .denied && listing.hint.contains("secretsmanager:BatchGetSecretValue"))
    }

    // ---- Keys

    @Test func keysOfASessionAreSentWithTheirToken() async throws {
        let server = try await AWSServer.get()
        let session = server.facts.session
        var variables = server.variables(server.facts.reader)
        variables["AWS_ACCESS_KEY_ID"] = session.accessKeyID
        variables["AWS_SECRET_ACCESS_KEY"] = session.secretAccessKey
        #expect(try await Remote(["ssm", Self.largest, "/app/"], variables).error("P01")?.kind == .denied)
        variables["AWS_SESSION_TOKEN"] = session.token
        #expect(try await Remote(["ssm", Self.largest, "/app/"], variables).text("P01") == Self.text(1))
    }

    @Test func profilesHaveKeysRolesAndPrograms() async throws {
        let server = try await AWSServer.get()
        let directory = try TemporaryDirectory()
        let session = server.facts.session
        let keys =
            #"{"Version": 1, "AccessKeyId": "\#(session.accessKeyID)", "#
            + #""SecretAccessKey": "\#(session.secretAccessKey)", "SessionToken": "\#(session.token)"}"#
        try directory.write(Array(keys.utf8), to: "keys.json")
        let (reader, assumer) = (server.facts.reader, server.facts.assumer)
        let credentials = """
            [default]
            aws_access_key_id = \(reader.id)
            aws_secret_access_key = \(reader.secret)
            [base]
            aws_access_key_id=\(assumer.id)
            aws_secret_access_key=\(assumer.secret)
            """
        let config = """
            # Profiles
            [default]
            region = \(server.facts.region)
            [profile role]
            role_arn = \(server.facts.role)
            source_profile = base
            external_id = a&b/c
            [profile chain]
            role_arn = \(server.facts.role)
            source_profile = loop
            [profile loop]
            role_arn = \(server.facts.role)
            source_profile = chain
            [profile process]
            credential_process = cat '\(directory.path("keys.json"))'
            [profile failing]
            credential_process = exit 3
            [profile silent]
            credential_process = true
            [profile environment]
            role_arn = \(server.facts.role)
            credential_source = Environment
            [profile browser]
            sso_session = company
            [profile code]
            role_arn = \(server.facts.role)
            source_profile = base
            mfa_serial = arn:aws:iam::123456789012:mfa/me
            [profile nothing]
            output = json
            """
        try directory.write(Array(credentials.utf8), to: "credentials")
        try directory.write(Array(config.utf8), to: "config")
        var variables = server.variables(assumer)
        variables["AWS_CONFIG_FILE"] = directory.path("config")
        variables["AWS_SHARED_CREDENTIALS_FILE"] = directory.path("credentials")
        for profile in ["default", "role", "process", "environment"] {
            let words = ["ssm", Self.largest, "/app/", "profile=\(profile)"]
            #expect(try await Remote(words, variables).text("P01") == Self.text(1), "\(profile)")
        }
        variables["AWS_ACCESS_KEY_ID"] = nil
        variables["AWS_REGION"] = nil
        // Of the profile itself: keys and region.
        #expect(try await Remote(["ssm", Self.largest, "/app/"], variables).text("P02") == Self.text(2))
        variables["AWS_DEFAULT_REGION"] = server.facts.region
        let failing = [
            ("chain", "comes back to itself"), ("failing", "ended with status 3"), ("silent", "wrote no keys"),
            ("environment", "no keys to get it by"), ("browser", "logs in by a browser"), ("code", "wants a code"),
            ("nothing", "no way to get any"), ("absent", "there is no AWS profile"),
        ]
        for (profile, part) in failing {
            variables["AWS_PROFILE"] = profile
            let error = try await Remote(["ssm", Self.largest, "/app/"], variables).error("P01")
            #expect(
                error?.kind == .denied && error?.message.contains(part) == true,
                "\(profile): \(String(describing: error))"
            )
        }
        try FileManager.default.setAttributes([.posixPermissions: 0o666], ofItemAtPath: directory.path("config"))
        let open = try await Remote(["ssm", Self.largest, "/app/"], variables).fetch("P01")
        guard case .failure(let error) = open else { throw Unexpected() }
        #expect(error.kind == .denied && error.hint.contains("nobody else may write it"))
        variables["CREDFS_PERMISSIONS_STRICT"] = "0"
        variables["AWS_PROFILE"] = "role"
        #expect(try await Remote(["ssm", Self.largest, "/app/"], variables).text("P01") == Self.text(1))
    }

    @Test func theTokenOfAPodGetsKeysOfItsRole() async throws {
        let server = try await AWSServer.get()
        let directory = try TemporaryDirectory()
        var variables = server.variables(server.facts.reader)
        variables["AWS_ACCESS_KEY_ID"] = nil
        variables["AWS_WEB_IDENTITY_TOKEN_FILE"] = try directory.write(Array("a+web/token=\n".utf8), to: "token")
        variables["AWS_ROLE_ARN"] = server.facts.role
        variables["AWS_ENDPOINT_URL_STS"] = server.facts.double + "/sts"
        #expect(try await Remote(["ssm", Self.largest, "/app/"], variables).text("P01") == Self.text(1))
        try directory.write(Array("another".utf8), to: "token")
        let error = try await Remote(["ssm", Self.largest, "/app/"], variables).error("P01")
        #expect(error?.message.contains("InvalidIdentityToken") == true, "\(String(describing: error))")
    }

    @Test func theTokenOfAContainerIsReadAnewAndKeysAreUsedToTheirEnd() async throws {
        let server = try await AWSServer.get()
        let directory = try TemporaryDirectory()
        func allow(_ token: String) throws {
            try Data(token.utf8).write(to: URL(filePath: server.directory + "/container-token"))
        }
        var variables = server.variables(server.facts.reader)
        variables["AWS_ACCESS_KEY_ID"] = nil
        variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = server.facts.double + "/container?role=reader"
        variables["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = try directory.write(Array("one".utf8), to: "token")
        try allow("one")
        let remote = try Remote(["ssm", Self.largest, "/app/"], variables)
        #expect(try await remote.text("P01") == Self.text(1))
        try allow("two")
        try directory.write(Array("two\n".utf8), to: "token")
        // They end in less than five minutes, so that they are asked for again.
        #expect(try await remote.text("P02") == Self.text(2))
        try allow("three")
        #expect(try await remote.text("P03") == Self.text(3), "the keys of before are used")
        #expect(try await remote.text("P04") == Self.text(4))
        let late = try await Remote(["ssm", Self.largest, "/app/"], variables).error("P01")
        #expect(late?.message == "the host has no keys for this container")
        variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://192.0.2.1/container"
        let outside = try await Remote(["ssm", Self.largest, "/app/"], variables).error("P01")
        #expect(outside?.message.contains("neither https nor one of this host") == true)
    }

    @Test func anInstanceIsAskedInItsSecondVersionAlone() async throws {
        let server = try await AWSServer.get()
        var variables = server.variables(server.facts.reader)
        variables["AWS_ACCESS_KEY_ID"] = nil
        variables["AWS_EC2_METADATA_DISABLED"] = nil
        variables["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = server.facts.double
        let remote = try Remote(["ssm", Self.largest, "/app/"], variables)
        #expect(try await remote.text("P01") == Self.text(1))
        #expect(try await remote.text("P02") == Self.text(2))
        #expect(try await server.count("latest/api/token") == 1, "its keys are used again")
        // Where there is no such service nothing else is tried.
        variables["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = server.facts.double + "/none"
        let error = try await Remote(["ssm", Self.largest, "/app/"], variables).error("P01")
        #expect(error?.message == "there are no AWS keys")
        #expect(try await server.count("none") == 1)
    }

    // ---- Failures

    @Test func failuresOfTheServerAreToldApart() async throws {
        let server = try await AWSServer.get()
        let variables = server.variables(server.facts.reader)
        func error(_ path: String, within milliseconds: Int64 = 60_000) async throws -> ProviderError? {
            let words = ["ssm", Self.largest, "/app/", "endpoint=\(server.facts.double)/\(path)"]
            return try await Remote(words, variables).error("A", within: milliseconds)
        }
        #expect(try await error("fine") == nil)
        let kinds: [(path: String, kind: ProviderError.Kind, part: String)] = [
            ("throttled", .throttled, "ThrottlingException"), ("busy", .throttled, "status 429"),
            ("failing", .unavailable, "status 503"), ("down", .unavailable, "InternalServerError"),
            ("expired", .denied, "ExpiredTokenException"), ("skewed", .denied, "RequestTimeTooSkewed"),
            ("redirect", .unavailable, "redirect, which is not followed"), ("cut", .unavailable, "was cut off"),
            ("huge", .invalid, "larger than 1048576 bytes"), ("headers", .invalid, "the head of the answer"),
            ("html", .invalid, "not JSON"), ("nonsense", .invalid, "the answer has no value"),
            ("nowhere", .invalid, "status 404"),
        ]
        for (path, kind, part) in kinds {
            let error = try await error(path)
            #expect(
                error?.kind == kind && error?.message.contains(part) == true,
                "\(path): \(String(describing: error))"
            )
        }
        #expect(try await server.count("fine") == 1, "no redirect is followed")
        #expect(try await error("busy")?.retryAfter == 77)
        #expect(try await server.count("expired") == 1, "keys that stay the same are not tried again")
        let slow = try await error("slow", within: 700)
        #expect(slow?.kind == .unavailable && slow?.message.contains("in time") == true, "\(String(describing: slow))")
    }

    @Test func aListingThatDoesNotEndIsRefused() async throws {
        let server = try await AWSServer.get()
        for path in ["endless", "large"] {
            let words = ["ssm", Self.largest, "/app/", "endpoint=\(server.facts.double)/\(path)"]
            guard case .failure(let error) = try await Remote(words, server.variables(server.facts.reader)).list()
            else {
                throw Unexpected()
            }
            #expect(error.kind == .invalid && error.message.contains("does not end"), "\(path): \(error.message)")
        }
    }

    @Test func certificatesAreVerifiedWithTheirHost() async throws {
        let server = try await AWSServer.get()
        func answer(_ endpoint: String, _ authorities: String?) async throws -> Remote.Answer {
            var variables = server.variables(server.facts.reader)
            variables["AWS_CA_BUNDLE"] = authorities
            return try await Remote(["ssm", Self.largest, "/app/", "endpoint=\(endpoint)/fine-tls"], variables).fetch(
                "A"
            )
        }
        let facts = server.facts
        for (endpoint, authorities) in [
            (facts.right, nil), (facts.right, facts.wrongFile), (facts.wrong, facts.wrongFile),
        ] {
            guard case .failure(let error) = try await answer(endpoint, authorities) else { throw Unexpected() }
            #expect(error.kind == .unavailable && error.message.contains("certificate"), "\(error.message)")
        }
        #expect(try await server.count("fine-tls") == 0, "nothing is sent to whom nobody trusts")
        #expect(try await answer(facts.right, facts.rightFile) == .success(Array("of the double".utf8)))
    }

    // ---- The process

    @Test(.enabled(if: geteuid() == 0)) func onlyLockedMemoryHasKeysAndValues() async throws {
        let server = try await AWSServer.get()
        let variables = server.variables(server.facts.reader)
        let remote = try Remote(["secretsmanager", Self.largest, "prod/"], variables)
        #expect(try await remote.text("token") == "a token")
        #expect(try await remote.list() == .success(["blob", "db", "token"]))
        // In the environment block neither, which is a part of it; what a request needed goes a moment after its answer.
        let key = server.facts.reader.secret
        var count = 0
        let kept = try ProcessMemory.copiesOfKept(in: remote.id)
        for _ in 0..<100 {
            count = try await ProcessMemory.count(of: key, in: remote.id)
            if count == kept { break }
            try await Task.sleep(for: .milliseconds(50))
        }
        #expect(count == kept)
        // The answer of a listing waits for requests, and not for long.
        let member = #"\"password\": \"new\""#
        while try await ProcessMemory.count(of: member, in: remote.id) > 0 {
            try await Task.sleep(for: .milliseconds(100))
        }
        let limits = try String(contentsOfFile: "/proc/\(remote.id)/limits", encoding: .utf8)
        #expect(limits.contains(#/Max core file size +1 +1 /#))
    }

    private struct Unexpected: Error {}
}
