# SPDX-License-Identifier: Apache-2.0
"""AWS on this machine, for tests: moto with its checks of signatures and rights, and a double of what moto has not.

Prints one line of JSON with addresses and keys, and ends when standard input does. The double hands out keys as a container's
host and an instance do, answers a web identity, and fails in the ways that its paths name. `GET /count/PATH` says how many
requests there were below a path. With a second argument `instance`, in a network of its own, moto has port 5000 and the double
5001, and port 80 of the address at which an instance asks.
"""

import collections
import datetime
import http.server
import json
import ipaddress
import os
import shutil
import ssl
import sys
import threading
import time
import urllib.parse
import urllib.request

import boto3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from moto.server import ThreadedMotoServer

REGION = "eu-central-1"
ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/reader"
directory = sys.argv[1]
IS_INSTANCE = sys.argv[2:] == ["instance"]

server = ThreadedMotoServer(ip_address="127.0.0.1", port=5000 if IS_INSTANCE else 0, verbose=False)
server.start()
address = "http://127.0.0.1:%d" % server.get_host_and_port()[1]


def client(service, key="setup", secret="setup", token=None):
    """A client of moto."""
    return boto3.client(
        service, endpoint_url=address, region_name=REGION, aws_access_key_id=key, aws_secret_access_key=secret,
        aws_session_token=token,
    )


def allow(*actions):
    """A policy that allows actions."""
    return json.dumps({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}],
    })


def user(name, *actions):
    """The key of a new user with rights."""
    iam.create_user(UserName=name)
    if actions:
        iam.put_user_policy(UserName=name, PolicyName="rights", PolicyDocument=allow(*actions))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}


iam = client("iam")
READING = [
    "ssm:GetParameters", "ssm:GetParametersByPath", "secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue",
    "secretsmanager:ListSecrets", "kms:Decrypt",
]
reader = user("reader", *READING)
assumer = user("assumer", "sts:AssumeRole")
nobody = user("nobody")
writer = user("writer", "ssm:PutParameter")
single = user("single", "secretsmanager:GetSecretValue")
trust = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}
iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(trust))
iam.put_role_policy(RoleName="reader", PolicyName="rights", PolicyDocument=allow(*READING))

ssm = client("ssm")
key = client("kms").create_key()["KeyMetadata"]["KeyId"]
for index in range(25):
    ssm.put_parameter(Name=f"/app/P{index:02}", Value=f'value {index}\n"\u00e9"', Type="SecureString", KeyId=key)
ssm.put_parameter(Name="/app/below/DEEP", Value="deep", Type="String")
for version in ("first", "second", "third"):
    ssm.put_parameter(Name="/other/VERSIONED", Value=version, Type="String", Overwrite=True)
ssm.label_parameter_version(Name="/other/VERSIONED", ParameterVersion=2, Labels=["good"])
ssm.put_parameter(Name="alone", Value="no path", Type="String")
secrets = client("secretsmanager")
secrets.create_secret(Name="prod/db", SecretString='{"user": "u1", "password": "old", "port": 5432}')
secrets.put_secret_value(SecretId="prod/db", SecretString='{"user": "u2", "password": "new", "port": 5433}')
secrets.create_secret(Name="prod/blob", SecretBinary=bytes(range(256)))
secrets.create_secret(Name="prod/deep/er", SecretString="deeper")
arn = secrets.create_secret(Name="prod/token", SecretString="a token")["ARN"]
secrets.create_secret(Name="doomed/one", SecretString="gone")
secrets.delete_secret(SecretId="doomed/one")

# From now on moto checks signatures and rights. Its form wants this type of content.
urllib.request.urlopen(urllib.request.Request(
    address + "/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"},
)).read()


def session():
    """Keys of the role, which end in an hour."""
    sts = client("sts", assumer["id"], assumer["secret"])
    return sts.assume_role(RoleArn=ROLE, RoleSessionName="double")["Credentials"]


def keys_in_json(seconds=3600, **more):
    """Keys as hosts answer them."""
    keys = session()
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return json.dumps({
        "AccessKeyId": keys["AccessKeyId"], "SecretAccessKey": keys["SecretAccessKey"], "Token": keys["SessionToken"],
        "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"), **more,
    }).encode()


counts = collections.Counter()
lock = threading.Lock()
VALUE = json.dumps({"Parameters": [{"Name": "/app/A", "Value": "of the double"}], "InvalidParameters": []}).encode()
JSON = "application/x-amz-json-1.1"


class Double(http.server.BaseHTTPRequestHandler):
    """Answers by the path."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, body=b"", kind="text/plain", **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def handle_any(self):
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.split("?")[0].strip("/").split("/")
        if path[0] == "count":
            self.answer(200, str(counts["/".join(path[1:])]).encode())
            return
        with lock:
            for depth in range(1, len(path) + 1):
                counts["/".join(path[:depth])] += 1
            count = counts["/".join(path)]
        getattr(self, "do_" + path[0].replace("-", "_"), self.unknown)(path, count)

    do_GET = do_PUT = do_POST = handle_any

    def unknown(self, path, count):
        self.answer(404)

    def do_put(self, path, count):
        """Sets a parameter to what the request has."""
        client("ssm", writer["id"], writer["secret"]).put_parameter(
            Name="/" + "/".join(path[1:]), Value=self.body.decode(), Type="SecureString", Overwrite=True,
        )
        self.answer(200)

    # ---- keys

    def do_latest(self, path, count):
        """An instance's service of metadata, of the second version alone."""
        if self.command == "PUT" and path[1:] == ["api", "token"]:
            if "X-Forwarded-For" in self.headers:
                self.refuse(403)
            elif self.headers.get("X-aws-ec2-metadata-token-ttl-seconds") != "21600":
                self.refuse(400)
            else:
                self.answer(200, b"instance-token")
        elif self.headers.get("X-aws-ec2-metadata-token") != "instance-token":
            self.refuse(401)
        elif path[-1] == "security-credentials":
            self.answer(200, b"reader\nanother\n")
        elif path[-1] == "reader":
            self.answer(200, keys_in_json(Code="Success", Type="AWS-HMAC"))
        else:
            self.answer(404)

    def refuse(self, status):
        """Counts what a service of the second version alone does not answer."""
        with lock:
            counts["latest-refused"] += 1
        self.answer(status)

    def do_container(self, path, count):
        """Keys for whoever shows what is in a file now."""
        with open(os.path.join(directory, "container-token")) as file:
            wanted = file.read()
        if self.headers.get("Authorization") != wanted:
            self.answer(401)
        else:
            # They end soon, so that they are asked for again, and can be used till then.
            self.answer(200, keys_in_json(200), "application/json")

    def do_sts(self, path, count):
        """The token service, for a token that is right; moto checks none, and answers none when it checks signatures."""
        form = {key: value[0] for key, value in urllib.parse.parse_qs(self.body.decode()).items()}
        signed = "Authorization" in self.headers
        if form.get("Action") != "AssumeRoleWithWebIdentity" or signed or form["WebIdentityToken"] != "a+web/token=":
            body = "<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>"
            self.answer(400, body.encode(), "text/xml")
            return
        keys = session()
        end = keys["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ")
        self.answer(200, (
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
            f"<AccessKeyId>{keys['AccessKeyId']}</AccessKeyId><SecretAccessKey>{keys['SecretAccessKey']}</SecretAccessKey>"
            f"<SessionToken>{keys['SessionToken']}</SessionToken><Expiration>{end}</Expiration>"
            "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        ).encode(), "text/xml")

    # ---- failures

    def do_fine(self, path, count):
        self.answer(200, VALUE, JSON)

    do_fine_tls = do_fine

    def do_throttled(self, path, count):
        """Takes no request but each third."""
        if count % 3:
            self.answer(400, b'{"__type":"ThrottlingException","message":"Rate exceeded"}', JSON, Retry_After="0")
        else:
            self.answer(200, VALUE, JSON)

    def do_busy(self, path, count):
        self.answer(429, b"<html>later</html>", "text/html", Retry_After="77")

    def do_failing(self, path, count):
        """Fails once."""
        self.answer(*((503, b"<html>down</html>", "text/html") if count == 1 else (200, VALUE, JSON)))

    def do_down(self, path, count):
        self.answer(500, b'{"__type":"com.amazonaws.ssm#InternalServerError"}', JSON)

    def do_expired(self, path, count):
        self.answer(400, b'{"__type":"ExpiredTokenException"}', JSON, x_amzn_errortype="ExpiredTokenException:http://x/")

    def do_skewed(self, path, count):
        self.answer(400, b'{"__type":"RequestTimeTooSkewed"}', JSON)

    def do_redirect(self, path, count):
        self.answer(307, b"", Location=f"http://{self.headers['Host']}/fine/")

    def do_slow(self, path, count):
        self.send_response(200)
        self.send_header("Content-Length", str(len(VALUE)))
        self.end_headers()
        for byte in VALUE:
            try:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
            except OSError:
                return
            time.sleep(0.1)

    def do_cut(self, path, count):
        self.send_response(200)
        self.send_header("Content-Length", str(len(VALUE)))
        self.end_headers()
        self.wfile.write(VALUE[:20])
        self.close_connection = True

    def do_huge(self, path, count):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        block = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        try:
            for _ in range(1 << 12):
                self.wfile.write(block)
        except OSError:
            pass
        self.close_connection = True

    def do_headers(self, path, count):
        self.send_response(200)
        try:
            for index in range(1 << 12):
                self.send_header(f"X-{index}", "x" * 1000)
            self.end_headers()
        except OSError:
            pass
        self.close_connection = True

    def do_html(self, path, count):
        self.answer(200, b"<html>a proxy between</html>", "text/html")

    def do_nonsense(self, path, count):
        self.answer(200, b'{"Parameters":[{"Name":"/app/A"},7,{"Name":"/app/B","Value":{"a":1}}]}', JSON)

    def do_endless(self, path, count):
        """A listing whose next part is always the same."""
        self.answer(200, b'{"Parameters":[],"NextToken":"again"}', JSON)

    def do_large(self, path, count):
        """A page without an end of its names."""
        names = [{"Name": f"/app/N{count}x{index}", "Value": "v"} for index in range(2000)]
        self.answer(200, json.dumps({"Parameters": names, "NextToken": str(count)}).encode(), JSON)


def serve(context=None, place=("127.0.0.1", 0)):
    """Starts the double; returns its port."""
    double = http.server.ThreadingHTTPServer(place, Double)
    double.daemon_threads = True
    if context:
        double.socket = context.wrap_socket(double.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=double.serve_forever, daemon=True).start()
    return double.server_port


def certificate(name, host):
    """A certificate that has signed itself, for an address."""
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    signed = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(private.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
        .sign(private, hashes.SHA256())
    )
    path = os.path.join(directory, name + ".pem")
    with open(path, "wb") as file:
        file.write(signed.public_bytes(serialization.Encoding.PEM))
    with open(path + ".key", "wb") as file:
        file.write(private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption(),
        ))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, path + ".key")
    return path, serve(context)


if IS_INSTANCE:
    serve(place=("127.0.0.1", 5001))
    serve(place=("169.254.169.254", 80))
right, right_port = certificate("right", "127.0.0.1")
wrong, wrong_port = certificate("wrong", "192.0.2.1")
print(json.dumps({
    "aws": address, "double": f"http://127.0.0.1:{serve()}", "region": REGION, "role": ROLE, "arn": arn,
    "session": json.loads(keys_in_json()), "reader": reader, "assumer": assumer, "nobody": nobody, "single": single,
    "right": f"https://127.0.0.1:{right_port}", "rightFile": right,
    "wrong": f"https://127.0.0.1:{wrong_port}", "wrongFile": wrong,
}), flush=True)
sys.stdin.read()
# Nobody else outlives the process of tests.
shutil.rmtree(sys.argv[1], ignore_errors=True)
os._exit(0)
