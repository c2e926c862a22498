"""Authorities and certificates for the tests of TLS, by openssl, other keys each time: certificates.py FOLDER STAMP."""

import pathlib
import subprocess
import sys

CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


def authority(folder, name):
    openssl("req", "-x509", *CURVE, "-days", "2", "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out",
            folder / f"{name}.pem", "-addext", "basicConstraints=critical,CA:TRUE")


def server(folder, name, by, alternative):
    key, request, certificate = (folder / f"{name}{end}" for end in (".key", ".csr", ".crt"))
    extensions = folder / f"{name}.ext"
    extensions.write_text(f"subjectAltName={alternative}\n")
    openssl("req", "-new", *CURVE, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
    openssl("x509", "-req", "-in", request, "-CA", folder / f"{by}.pem", "-CAkey", folder / f"{by}.key", "-days", "2",
            "-extfile", extensions, "-out", certificate)
    (folder / f"{name}.pem").write_text(certificate.read_text() + key.read_text())


def main(folder, stamp):
    folder.mkdir(parents=True, exist_ok=True)
    authority(folder, "authority")
    authority(folder, "stranger")
    server(folder, "server", "authority", "IP:127.0.0.1")
    server(folder, "elsewhere", "authority", "DNS:elsewhere.example")
    stamp.write_text(str(folder.resolve()))


main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
