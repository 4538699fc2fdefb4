# SPDX-License-Identifier: Apache-2.0
"""Times the start of a job with ten parameters of a Parameter Store on this machine, beside a call of curl and, if it is installed,
the command line of AWS, all in turn.

Usage: .build/test-servers/bin/python3 Benchmarks/sources.py [PROGRAM [ROUNDS]]

Between them and moto is a proxy that counts requests. Times are of the whole process; moto itself takes some of it.
"""

import http.server
import json
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import boto3
from moto.server import ThreadedMotoServer

REGION = "eu-central-1"
KEY, SECRET = "AKIDEXAMPLE", "no-secret-of-anybody"
COUNT = 10


def main():
    program = os.path.realpath(sys.argv[1] if len(sys.argv) > 1 else ".build/release/credfs")
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 15
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    counter = Counter("http://127.0.0.1:%d" % moto.get_host_and_port()[1])
    store = boto3.client(
        "ssm", endpoint_url=counter.behind, region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=SECRET
    )
    for number in range(COUNT):
        store.put_parameter(Name=f"/bench/N{number}", Value="x" * 64, Type="SecureString")
    with tempfile.TemporaryDirectory() as directory:
        environment = {
            "PATH": os.environ["PATH"], "HOME": directory, "XDG_RUNTIME_DIR": directory, "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": counter.address, "AWS_EC2_METADATA_DISABLED": "true",
        }
        times = measure(commands(program, counter.address), environment, counter, rounds)
    peer = times["curl"][0]
    print(f"{'':12} {'median':>8} {'peer = 1':>9} {'requests':>9}")
    for name, (values, requests) in times.items():
        ratio = statistics.median(value / other for value, other in zip(values, peer))
        print(f"{name:12} {statistics.median(values) * 1000:5.1f} ms {ratio:9.2f} {requests:9}")


def commands(program, address):
    body = json.dumps({"Path": "/bench", "Recursive": True, "WithDecryption": True})
    found = {
        "curl": [
            "curl", "--silent", "--show-error", "--fail", "--aws-sigv4", f"aws:amz:{REGION}:ssm", "--user", f"{KEY}:{SECRET}",
            "--header", "X-Amz-Target: AmazonSSM.GetParametersByPath", "--header", "Content-Type: application/x-amz-json-1.1",
            "--data", body, address + "/",
        ],
        "credfs run": [program, "run", "--no-store", "--source", "ssm:/bench", "--", "true"],
    }
    if shutil.which("aws"):
        names = [f"/bench/N{number}" for number in range(COUNT)]
        found["aws"] = ["aws", "ssm", "get-parameters", "--with-decryption", "--names", *names]
    return found


def measure(programs, environment, counter, rounds):
    times, requests = {name: [] for name in programs}, {}
    for _ in range(rounds):
        for name, command in programs.items():
            counter.count = 0
            start = time.monotonic()
            subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True
            )
            times[name].append(time.monotonic() - start)
            requests[name] = counter.count
    return {name: (times[name], requests[name]) for name in programs}


class Counter:
    """A proxy that counts requests."""

    def __init__(self, behind):
        self.behind, self.count = behind, 0
        counter = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                counter.count += 1
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                left_out = {"host", "content-length", "connection"}
                headers = {name: value for name, value in self.headers.items() if name.lower() not in left_out}
                try:
                    answer = urllib.request.urlopen(urllib.request.Request(behind + self.path, body, headers))
                except urllib.error.HTTPError as error:
                    answer = error
                text = answer.read()
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers.get("Content-Type", "application/x-amz-json-1.1"))
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.address = "http://127.0.0.1:%d" % server.server_port


if __name__ == "__main__":
    main()
