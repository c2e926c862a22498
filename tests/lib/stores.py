"""Real servers of object stores for tests: each on ports of the kernel, in a folder of its own, ended with the test.

    with stores.versitygw() as store:
        store.env      what sluice and sluiced need to reach it
        store.place    "s3://bucket"
        store.client() the cloud's own client
"""

import base64
import contextlib
import datetime
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent / "out"
KEY, SECRET, BUCKET = "AKTEST", "SKTEST", "bucket"
NAME = "store.invalid"  # that no DNS knows
READY_S = 60


class Broken(RuntimeError):
    """A server that does not start; its output says why."""


def free_ports(count, host="127.0.0.1"):
    """Ports that are free now; all are taken before one is given back, so they differ."""
    taken = [socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) for _ in range(count)]
    for s in taken:
        s.bind((host, 0))
    ports = [s.getsockname()[1] for s in taken]
    for s in taken:
        s.close()
    return ports


def certificate(folder):
    """(certificate, key) of this machine and of `NAME`, which vouches for itself."""
    cert, key = pathlib.Path(folder) / "cert.pem", pathlib.Path(folder) / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                    f"subjectAltName=IP:127.0.0.1,IP:::1,DNS:{NAME}"], check=True, capture_output=True)
    return cert, key


def address(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Server:
    """A process that answers HTTP on `url` when it is ready; None: it speaks something else."""

    def __init__(self, folder, command, url, env=None, context=None):
        self.log = pathlib.Path(folder) / "log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen([str(c) for c in command], stdout=out, stderr=subprocess.STDOUT, cwd=folder,
                                            env={**os.environ, **(env or {})}, start_new_session=True)
        if url is not None:
            self.await_answer(url, context)

    def await_answer(self, url, context):
        begun = time.monotonic()
        while True:
            try:
                urllib.request.urlopen(url, timeout=5, context=context).close()
                return
            except urllib.error.HTTPError:
                return  # it answers
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() - begun > READY_S:
                    self.stop()
                    raise Broken(f"{url}: {error}\n{self.log.read_text(errors='replace')[-2000:]}") from error
            time.sleep(0.02)  # until it listens; nothing tells when

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class S3:
    def __init__(self, port, folder, host="127.0.0.1", ca=None):
        self.port, self.folder, self.place, self.ca = port, folder, f"s3://{BUCKET}", ca
        self.url = f"http{'s' if ca else ''}://{address(host, port)}"
        self.env = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1",
                    "BACKUP_S3_ENDPOINT": address(host, port), "BACKUP_S3_USE_SSL": "true" if ca else "false",
                    "EXPORT_DEFAULT_BUCKET": BUCKET, **({"SLUICE_STORE_CA": str(ca)} if ca else {})}

    def client(self, **more):
        more = {"verify": str(self.ca), **more} if self.ca else more
        import boto3
        from botocore.config import Config
        return boto3.client("s3", endpoint_url=self.url, aws_access_key_id=KEY, aws_secret_access_key=SECRET,
                            region_name="us-east-1", config=Config(s3={"addressing_style": "path"}), **more)

    def objects(self, prefix=""):
        """{key: bytes} below a prefix, read by boto3."""
        client, found = self.client(), {}
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
            for entry in page.get("Contents", []):
                found[entry["Key"]] = client.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
        return found

    def open_uploads(self):
        return [u["Key"] for u in self.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]


@contextlib.contextmanager
def temp_folder():
    folder = tempfile.mkdtemp(prefix="sluice-store-")
    try:
        yield pathlib.Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def certificate_if(is_tls, folder):
    """(certificate, key, context that trusts it), or three times None."""
    if not is_tls:
        return None, None, None
    cert, key = certificate(folder)
    return cert, key, ssl.create_default_context(cafile=str(cert))


@contextlib.contextmanager
def versitygw(is_tls=False, host="127.0.0.1"):
    with temp_folder() as folder:
        (folder / "data").mkdir()
        port, = free_ports(1, host)
        ca, key, context = certificate_if(is_tls, folder)
        command = [ROOT / "stores/versitygw", "--port", address(host, port), "--quiet",
                   "--access-log", folder / "access"]
        command += ["--cert", ca, "--key", key] if is_tls else []
        store = S3(port, folder, host, ca)
        server = Server(folder, [*command, "posix", folder / "data"], store.url,
                        {"ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET}, context)
        try:
            store.client().create_bucket(Bucket=BUCKET)
            yield store
        finally:
            server.stop()


SEAWEED_S3 = '{"identities":[{"name":"t","credentials":[{"accessKey":"%s","secretKey":"%s"}],"actions":["Admin"]}]}'
SEAWEED_IAM = """{"sts":{"tokenDuration":"%s","maxSessionLength":"12h","issuer":"sw",
"signingKey":"dGVzdC1zaWduaW5nLWtleS0zMi1jaGFyYWN0ZXJzLWxvbmc="},
"providers":[{"name":"oidc1","type":"oidc","enabled":true,
 "config":{"issuer":"%s","clientId":"sts","jwksUri":"%s/jwks"}}],
"policy":{"defaultEffect":"Deny","storeType":"memory"},
"roles":[{"roleName":"R1","roleArn":"arn:aws:iam::role/R1","attachedPolicies":["All"],"trustPolicy":
 {"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"oidc1"},
  "Action":["sts:AssumeRoleWithWebIdentity"]}]}}],
"policies":[{"name":"All","document":{"Version":"2012-10-17","Statement":
 [{"Effect":"Allow","Action":["s3:*","sts:ValidateSession"],"Resource":["*"]}]}}]}"""


@contextlib.contextmanager
def seaweedfs(issuer="http://127.0.0.1:9", life="1h"):
    """Also a token service for the role arn:aws:iam::role/R1 and tokens of the issuer for audience "sts"."""
    with temp_folder() as folder:
        (folder / "s3.json").write_text(SEAWEED_S3 % (KEY, SECRET))
        (folder / "iam.json").write_text(SEAWEED_IAM % (life, issuer, issuer))
        names = ["s3", "master", "volume", "filer", "admin"]
        ports = free_ports(10)
        command = [ROOT / "venv/bin/weed", "-logtostderr=true", "mini", f"-dir={folder}", "-ip=127.0.0.1",
                   "-ip.bind=127.0.0.1", "-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
                   "-master.telemetry=false", "-s3.autoCreateBucket=false", "-s3.domainName=localhost",
                   f"-s3.config={folder}/s3.json", f"-s3.iam.config={folder}/iam.json",
                   f"-filer.localSocket={folder}/f.sock", f"-s3.localSocket={folder}/s.sock"]
        for n, name in enumerate(names):
            command += [f"-{name}.port={ports[n]}", f"-{name}.port.grpc={ports[n + 5]}"]
        server = Server(folder, command, f"http://127.0.0.1:{ports[0]}/", {"TMPDIR": str(folder)})
        try:
            store = S3(ports[0], folder)
            begun = time.monotonic()
            while True:
                try:
                    store.client().create_bucket(Bucket=BUCKET)
                    break
                except Exception:  # pylint: disable=broad-except
                    if time.monotonic() - begun > READY_S:
                        raise
                    time.sleep(0.1)  # its parts find each other
            yield store
        finally:
            server.stop()


class Azure:
    """Its tokens: any text that says it is of Entra ID, for storage, and not ended (Azurite checks no signature)."""

    account = "acct1"
    key = base64.b64encode(b"7" * 32).decode()

    def __init__(self, url, ca=None):
        self.place, self.url, self.ca = f"az://{BUCKET}", url, ca
        self.env = self.env_of(f";AccountKey={self.key}")

    def env_of(self, credential=""):
        """credential: ";AccountKey=...", ";SharedAccessSignature=..." or none, for identities."""
        env = {"AZURE_STORAGE_CONNECTION_STRING":
               f"AccountName={self.account};BlobEndpoint={self.url}/{self.account}{credential}",
               "EXPORT_DEFAULT_BUCKET": BUCKET}
        return {**env, "SLUICE_STORE_CA": str(self.ca)} if self.ca else env

    def sas_env(self, **permission):
        from azure.storage.blob import ContainerSasPermissions, generate_container_sas
        until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
        sas = generate_container_sas(self.account, BUCKET, account_key=self.key, expiry=until,
                                     permission=ContainerSasPermissions(**permission))
        return self.env_of(f";SharedAccessSignature={sas}")

    def token(self):
        now = int(time.time())
        claims = {"iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/",
                  "aud": "https://storage.azure.com", "iat": now - 60, "nbf": now - 60, "exp": now + 3600}
        parts = [json.dumps(p).encode() for p in ({"alg": "RS256", "typ": "JWT"}, claims)] + [b"signature"]
        return ".".join(base64.urlsafe_b64encode(p).rstrip(b"=").decode() for p in parts)

    def client(self):
        from azure.storage.blob import ContainerClient
        more = {"connection_verify": str(self.ca)} if self.ca else {}
        key = {"account_name": self.account, "account_key": self.key}  # from an IPv6 address it reads no name
        return ContainerClient(f"{self.url}/{self.account}", BUCKET, key, **more)

    def objects(self, prefix=""):
        client = self.client()
        return {b.name: client.download_blob(b.name).readall() for b in client.list_blobs(name_starts_with=prefix)}

    def open_uploads(self):
        """Blobs that have blocks, but no list of them."""
        client = self.client()
        committed = {b.name for b in client.list_blobs()}  # first: of a blob removed in between nothing is left over
        return sorted({b.name for b in client.list_blobs(include=["uncommittedblobs"])} - committed)


@contextlib.contextmanager
def azurite(is_tls=False, host="127.0.0.1"):
    """Over TLS it takes tokens, too."""
    with temp_folder() as folder:
        port, = free_ports(1, host)
        ca, key, context = certificate_if(is_tls, folder)
        command = [ROOT / "venv/bin/node", ROOT / "npm/node_modules/.bin/azurite-blob", "--silent",
                   "--disableTelemetry", "--skipApiVersionCheck", "--inMemoryPersistence", "--disableProductStyleUrl",
                   "--blobHost", host, "--blobPort", port]
        command += ["--oauth", "basic", "--cert", ca, "--key", key] if is_tls else []
        url = f"http{'s' if is_tls else ''}://{address(host, port)}"
        server = Server(folder, command, url, {"AZURITE_ACCOUNTS": f"{Azure.account}:{Azure.key}"}, context)
        try:
            store = Azure(url, ca)
            store.client().create_container()
            yield store
        finally:
            server.stop()


class Gcs:
    def __init__(self, url, ca=None):
        self.place, self.url, self.ca = f"gs://{BUCKET}", url, ca
        self.env = {"STORAGE_EMULATOR_HOST": url, "BACKUP_GCS_USE_AUTH": "false", "EXPORT_DEFAULT_BUCKET": BUCKET,
                    **({"SLUICE_STORE_CA": str(ca)} if ca else {})}

    def client(self):
        from google.auth.credentials import AnonymousCredentials
        from google.auth.transport.requests import AuthorizedSession
        from google.cloud import storage
        http = AuthorizedSession(AnonymousCredentials())
        http.trust_env, http.verify = False, str(self.ca) if self.ca else True
        return storage.Client("project", AnonymousCredentials(), _http=http, client_options={"api_endpoint": self.url})

    def objects(self, prefix=""):
        client = self.client()
        return {b.name: b.download_as_bytes() for b in client.list_blobs(BUCKET, prefix=prefix)}


@contextlib.contextmanager
def fake_gcs(is_tls=False, host="127.0.0.1"):
    with temp_folder() as folder:
        port, = free_ports(1, host)
        ca, key, context = certificate_if(is_tls, folder)
        scheme = "https" if is_tls else "http"
        url = f"{scheme}://{address(host, port)}"
        command = [ROOT / "stores/fake-gcs-server", "-scheme", scheme, "-host", address(host, port).rpartition(":")[0],
                   "-port", port, "-backend", "memory", "-external-url", url]
        command += ["-cert-location", ca, "-private-key-location", key] if is_tls else []
        server = Server(folder, command, url + "/storage/v1/b?project=p", context=context)
        try:
            store = Gcs(url, ca)
            store.client().create_bucket(BUCKET)
            yield store
        finally:
            server.stop()


class Issuer:
    """An OIDC issuer written by others; what its tokens claim is what the request for one says."""

    def __init__(self, url):
        self.url = url

    def token(self, header=None, **claims):
        form = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": "x",
                                       "claims": json.dumps(claims), "header": json.dumps(header or {})})
        with urllib.request.urlopen(f"{self.url}/token", form.encode(), timeout=10) as reply:
            return json.load(reply)["access_token"]


@contextlib.contextmanager
def oidc_issuer():
    here = pathlib.Path(__file__).resolve().parent
    process = subprocess.Popen([ROOT / "venv/bin/node", here.parent / "npm/issuer.mjs", ROOT / "npm/node_modules"],
                               stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        line = process.stdout.readline()
        if not line:
            raise Broken("the OIDC issuer does not start")
        yield Issuer(json.loads(line)["url"])
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # a script of the package starts the program
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def gcp_emulator():
    """The one that resumes uploads."""
    with temp_folder() as folder:
        port, = free_ports(1)
        url = f"http://127.0.0.1:{port}"
        server = Server(folder, [ROOT / "venv/bin/gcp-storage-emulator", "start", "--host", "127.0.0.1", "--port", port,
                                 "--in-memory", "--default-bucket", BUCKET], url + "/")
        try:
            yield Gcs(url)
        finally:
            server.stop()


def put_all(store, folder):
    """Uploads a folder by the cloud's own client, below "backups/"."""
    client = store.client()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        key, data = f"backups/{path.relative_to(folder)}", path.read_bytes()
        if store.place.startswith("s3"):
            client.put_object(Bucket=BUCKET, Key=key, Body=data)
        elif store.place.startswith("gs"):
            client.bucket(BUCKET).blob(key).upload_from_string(data)
        else:
            client.upload_blob(key, data)
