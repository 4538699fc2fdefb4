// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// A job on an instance of EC2: a network of its own, in which the address of the service of metadata is one of this machine, and
/// no other credentials are at hand.
extension RunTests {
    @Suite(.timeLimit(.minutes(10)), .enabled(if: isRoot)) struct Instances {
        /// Runs a script where the service answers at its own address, and AWS at another one (serve_aws.py).
        private func run(_ box: JobBox, _ script: String) async throws -> ChildProcess.Outcome {
            let begin = """
                export PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin
                ip link set lo up && ip address add 169.254.169.254/32 dev lo || exit 90
                cd "$PLACE" && mkfifo life facts && mkdir aws || exit 91
                "$PYTHON" -B "$SERVER" "$PLACE/aws" instance <life >facts 2>errors &
                exec 3>life
                read -r facts <facts || { cat errors >&2; exit 92; }
                count() { curl --silent --fail "http://127.0.0.1:5001/count/$1"; }
                counts() { echo "$(count latest/api/token) $(count latest/meta-data) $(count latest-refused)"; }
                credfs() { "$CREDFS" "$@" 3>&-; }

                """
            let place = box.sandbox.directory.path("instance")
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
            let variables = [
                "PLACE": place, "PYTHON": PackageDirectory.root + ".build/test-servers/bin/python",
                "SERVER": PackageDirectory.root + "Tests/Scripts/serve_aws.py", "CREDFS": CommandTests.credfs,
                "AWS_REGION": "eu-central-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:5000",
            ]
            return try await ChildProcess.run(
                "/usr/bin/unshare",
                ["--net", "/bin/bash", "-c", begin + script],
                environment: box.environment.merging(variables) { $1 }
            )
        }

        @Test func anInstanceWithoutOtherKeysAsksItsSecondVersionAloneUnlessThatIsDisabled() async throws {
            let box = try await JobBox(["S": "store"])
            let outcome = try await run(
                box,
                """
                # The double is one: without a token, or from farther away, nobody is let in.
                curl --silent --output /dev/null --write-out '%{http_code}\\n' http://169.254.169.254/latest/meta-data/
                curl --silent --output /dev/null --write-out '%{http_code}\\n' --request PUT \\
                    --header 'X-aws-ec2-metadata-token-ttl-seconds: 21600' --header 'X-Forwarded-For: 192.0.2.1' \\
                    http://169.254.169.254/latest/api/token
                counts
                AWS_EC2_METADATA_DISABLED=true credfs run --source ssm:/app --only P01 -- cat /dev/null 2>refused
                echo "status $?"; counts
                credfs run --source ssm:/app -- /bin/sh -c 'cat $P24_FILE; echo; env | grep -c ^AWS_SECRET' 2>said
                echo "status $?"; counts
                echo "used $(count latest/meta-data/iam/security-credentials/reader)"
                cat refused said >&2
                """
            )
            let expected = """
                401
                403
                1 1 2
                status 125
                1 1 2
                value 24
                "\u{e9}"
                0
                status 1
                2 3 2
                used 1

                """
            #expect(outcome.outputText == expected, "\(outcome.errorText)")
            #expect(outcome.errorText.contains("there are no AWS keys"), "\(outcome.errorText)")
        }
    }
}
