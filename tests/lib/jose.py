"""Keys, JWK sets and tokens, made by the openssl program: an independent judge of ours.

Python's standard library does the rest (JSON, base64url, HMAC); ECDSA signatures are turned from DER
into the two numbers that JWS wants.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import subprocess
import tempfile


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*args, data=None):
    done = subprocess.run(["openssl", *args], input=data, capture_output=True, check=True)
    return done.stdout


def numbers(der):
    """The two integers of an ECDSA signature in DER, 32 bytes each."""
    at, out = 2, b""
    for _ in range(2):
        size = der[at + 1]
        out += int.from_bytes(der[at + 2:at + 2 + size], "big").to_bytes(32, "big")
        at += 2 + size
    return out


class Key:
    """A private key: "RSA" of some bits, or "EC" on P-256 or another curve."""

    folder = tempfile.TemporaryDirectory(prefix="sluice-keys-")
    count = 0

    def __init__(self, kty, kid=None, bits=2048, curve="P-256", alg=None, **more):
        Key.count += 1
        self.kty, self.kid, self.more = kty, kid, more
        self.alg = alg or ("RS256" if kty == "RSA" else "ES256")
        self.path = str(pathlib.Path(Key.folder.name, f"{Key.count}.pem"))
        kind = ["RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}"] if kty == "RSA" else \
            ["EC", "-pkeyopt", f"ec_paramgen_curve:{curve}"]
        openssl("genpkey", "-quiet", "-algorithm", *kind, "-out", self.path)
        self.curve = curve

    def public_pem(self):
        return openssl("pkey", "-in", self.path, "-pubout")

    def jwk(self, **more):
        found = {"kty": self.kty, **({"kid": self.kid} if self.kid else {}), **self.more}
        if self.kty == "RSA":
            text = openssl("rsa", "-in", self.path, "-noout", "-modulus").decode()
            found.update(n=b64(bytes.fromhex(text.strip().split("=")[1])), e="AQAB")
        else:
            der = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")
            size = {"P-256": 32, "P-384": 48}[self.curve]
            found.update(crv=self.curve, x=b64(der[-2 * size:-size]), y=b64(der[-size:]))
        return {**found, **more}

    def sign(self, data, alg):
        if alg == "PS256":
            return openssl("dgst", "-sha256", "-sign", self.path, "-sigopt", "rsa_padding_mode:pss", "-sigopt",
                           "rsa_pss_saltlen:32", data=data)
        signature = openssl("dgst", "-sha256", "-sign", self.path, data=data)
        return numbers(signature) if alg == "ES256" and self.kty == "EC" else signature

    def token(self, claims, alg=None, **header):
        """A compact JWS; members of `header` replace ours, None removes one."""
        alg = alg or self.alg
        head = {"alg": alg, "typ": "JWT", "kid": self.kid, **header}
        head = {k: v for k, v in head.items() if v is not None}
        body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
        text = f"{b64(json.dumps(head).encode())}.{b64(body)}"
        return f"{text}.{b64(self.sign(text.encode(), alg))}"


def hmac_token(claims, secret, kid, alg="HS256"):
    text = f"{b64(json.dumps({'alg': alg, 'kid': kid}).encode())}.{b64(json.dumps(claims).encode())}"
    return f"{text}.{b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def bare_token(claims, alg="none", signature=""):
    return f"{b64(json.dumps({'alg': alg}).encode())}.{b64(json.dumps(claims).encode())}.{signature}"
