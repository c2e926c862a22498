"""Azurite, the emulator of Azure Blob Storage, with a temporary folder and a port from the kernel."""

import base64
import datetime
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas
from node import Failed

ACCOUNT, CONTAINER = "acct1", "backups"
KEY = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
OUT = pathlib.Path(__file__).resolve().parent.parent.parent / "out"


def certificate(folder):
    """(certificate, key) for 127.0.0.1, which vouches for itself."""
    cert, key = pathlib.Path(folder, "cert.pem"), pathlib.Path(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=azurite", "-addext",
                    "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    return cert, key


def token():
    """What Azurite takes for a token of an identity: it looks at issuer, audience and times."""
    now = int(time.time())
    claims = {"iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/", "aud": "https://storage.azure.com",
              "iat": now - 60, "nbf": now - 60, "exp": now + 3600}
    parts = [json.dumps(p).encode() for p in ({"alg": "RS256", "typ": "JWT"}, claims)] + [b"signature"]
    return ".".join(base64.urlsafe_b64encode(p).rstrip(b"=").decode() for p in parts)


class Azurite:
    """Serves from creation to the end of the context; `client` is the container in Microsoft's own library."""

    def __init__(self, is_tls=False):
        self.folder = tempfile.TemporaryDirectory(prefix="sluice-azurite-", ignore_cleanup_errors=True)
        data = pathlib.Path(self.folder.name, "data")
        data.mkdir()
        main = OUT / "npm" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
        if not main.exists():
            raise Failed("Azurite is missing; run ./dev setup")
        command = [str(OUT / "venv" / "bin" / "node"), str(main), "--silent", "--disableTelemetry", "--skipApiVersionCheck",
                   "--location", str(data), "--blobHost", "127.0.0.1", "--blobPort", "0"]
        more = {}
        if is_tls:
            self.ca, key = certificate(self.folder.name)
            command += ["--oauth", "basic", "--cert", str(self.ca), "--key", str(key)]
            more = {"connection_verify": str(self.ca)}
        self.process = subprocess.Popen(command, env={"PATH": os.environ["PATH"], "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"},
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            self.url = self.await_url()
            self.client = BlobServiceClient(f"{self.url}/{ACCOUNT}", KEY, **more).create_container(CONTAINER)
        except BaseException:
            self.__exit__()
            raise

    def await_url(self):
        told = []
        for line in self.process.stdout:
            told.append(line)
            match = re.search(r"listens on (\S+)", line)
            if match:
                return match.group(1)
        raise Failed(f"Azurite did not start: {''.join(told)}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        self.process.stdout.close()
        self.folder.cleanup()

    def env(self, credential=""):
        """credential: ";AccountKey=...", ";SharedAccessSignature=..." or none, for identities."""
        env = {"AZURE_STORAGE_CONNECTION_STRING":
               f"AccountName={ACCOUNT};BlobEndpoint={self.url}/{ACCOUNT}{credential}"}
        return {**env, "SLUICE_STORE_CA": str(self.ca)} if self.url.startswith("https") else env

    def key_env(self):
        return self.env(f";AccountKey={KEY}")

    def sas_env(self, **permission):
        until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
        sas = generate_container_sas(ACCOUNT, CONTAINER, account_key=KEY, expiry=until,
                                     permission=ContainerSasPermissions(**permission))
        return self.env(f";SharedAccessSignature={sas}")

    def names(self):
        return [b.name for b in self.client.list_blobs()]

    def open_uploads(self):
        """Blobs that have blocks, but no list of them."""
        every = [b.name for b in self.client.list_blobs(include=["uncommittedblobs"])]
        return sorted(set(every) - set(self.names()))
