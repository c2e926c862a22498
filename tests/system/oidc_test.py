"""OIDC with a real issuer: an HTTP server of discovery and keys whose tokens the openssl program signs.

Usage: oidc_test.py BIN_DIR [test name ...]
"""

import http.server
import json
import pathlib
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))

import stores  # noqa: E402 pylint: disable=wrong-import-position
from jose import Key, bare_token, hmac_token, openssl  # noqa: E402 pylint: disable=wrong-import-position
from node import Node, check, equal, run  # noqa: E402 pylint: disable=wrong-import-position

RSA, RSA2, EC = Key("RSA", "r1"), Key("RSA", "r2"), Key("EC", "e1")


class Issuer:
    """Answers discovery and keys; `keys` may change, `hold` makes it hang, `stop` closes its port."""

    def __init__(self, *keys, tls=None):
        self.keys, self.fetches, self.tls, self.port = list(keys), 0, tls, 0
        self.told = self.body = None  # lies
        self.free = threading.Event()
        self.free.set()
        self.start()

    def start(self):
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # pylint: disable=invalid-name
                issuer.free.wait()
                if self.path == "/realm/.well-known/openid-configuration":
                    body = {"issuer": issuer.told or issuer.url, "jwks_uri": f"{issuer.url}/keys"}
                elif self.path == "/realm/keys":
                    issuer.fetches += 1
                    body = {"keys": [k.jwk(use="sig") for k in issuer.keys]}
                else:
                    self.send_error(404)
                    return
                data = issuer.body or json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                try:
                    self.wfile.write(data)
                except OSError:
                    pass

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/realm"

    def stop(self):
        self.free.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def claims(self, **more):
        now = int(time.time())
        found = {"iss": self.url, "aud": "sluice", "sub": "alice", "iat": now, "exp": now + 600, **more}
        return {k: v for k, v in found.items() if v is not None}


def node(bin_dir, issuer, **env):
    return Node(bin_dir, AUTHENTICATION_OIDC_ENABLED="true", AUTHENTICATION_OIDC_ISSUER=issuer.url,
                AUTHENTICATION_OIDC_CLIENT_ID="sluice", AUTHENTICATION_OIDC_USERNAME_CLAIM="sub",
                AUTHENTICATION_OIDC_GROUPS_CLAIM="groups", **env)


def call(n, token, path="/v1/schema", method="GET", body=None):
    """Wrong tokens from one address have a limit per second; who meets it tries again."""
    status = 429
    while status == 429:
        status, parsed, _ = n.call(method, path, body, {"Authorization": f"Bearer {token}"} if token else None)
    return status, parsed


def refused(n, token, sentence, status=401):
    got = call(n, token)
    check(got[0] == status and sentence in json.dumps(got[1]), f"want {status} {sentence}, got {got}")


def logged(n, text):
    """Waits for a line of the log."""
    until = time.monotonic() + 30
    while not any(text in line for line in list(n.log)):
        check(time.monotonic() < until, f"not logged: {text}")
        n.call("GET", "/v1/.well-known/live")


def test_clients_are_told_where_to_log_in(bin_dir):
    plain = Node(bin_dir)
    equal(plain.call("GET", "/v1/.well-known/openid-configuration")[:2], (404, None), "without OIDC")
    plain.close()
    issuer = Issuer(RSA)
    n = node(bin_dir, issuer, AUTHENTICATION_OIDC_SCOPES="openid,email")
    equal(n.call("GET", "/v1/.well-known/openid-configuration")[:2],
          (200, {"href": f"{issuer.url}/.well-known/openid-configuration", "clientId": "sluice",
                 "scopes": ["openid", "email"]}), "with OIDC")
    refused(n, None, "available methods: [OIDC]")
    n.close()
    issuer.stop()


def test_tokens_of_the_issuer_alone_are_accepted(bin_dir):
    issuer = Issuer(RSA, EC)
    n = node(bin_dir, issuer)
    good = RSA.token(issuer.claims())
    for token in (good, RSA.token(issuer.claims(), "PS256"), EC.token(issuer.claims(aud=["a", "sluice"]))):
        equal(call(n, token)[0], 200, "a good token")
    equal(call(n, good, "/v1/users/own-info")[1]["username"], "alice", "who asks")
    now = int(time.time())
    head, body, signature = good.split(".")
    for token, sentence in (
            (RSA.token(issuer.claims(exp=now - 70)), "the token is expired"),
            (RSA.token(issuer.claims(nbf=now + 100)), "not valid yet"),
            (RSA.token(issuer.claims(iss="http://127.0.0.1:1")), "different provider"),
            (RSA.token(issuer.claims(aud="other")), "expected audience"),
            (RSA.token(issuer.claims(sub=None)), "required claim 'sub'"),
            (bare_token(issuer.claims(), "none", "AAAA"), "must be signed by"),
            (hmac_token(issuer.claims(), RSA.public_pem(), "r1"), "must be signed by"),
            (RSA2.token(issuer.claims(), kid="r1"), "failed to verify signature"),
            (f"{head}.{body}.{signature[:-8]}AAAAAAAA", "failed to verify signature"),
            (f"{head}.{body}.", "malformed jwt")):
        refused(n, token, sentence)
    check(good not in "".join(n.log) and signature not in "".join(n.log), "the token is in the log")
    n.close()
    issuer.stop()


def test_an_issuer_written_by_others(bin_dir):
    with stores.oidc_issuer() as issuer:
        n = node(bin_dir, issuer, AUTHORIZATION_RBAC_ENABLED="true", AUTHORIZATION_RBAC_ROOT_USERS="alice",
                 AUTHORIZATION_RBAC_READONLY_GROUPS="readers")
        now = int(time.time())
        for _ in range(4):  # its keys take turns: RS256, ES256
            token = issuer.token(sub="alice", aud="sluice")
            equal(call(n, token, "/v1/users/own-info")[1]["username"], "alice", "who asks")
            equal(call(n, issuer.token(sub="bob", aud="sluice", groups=["readers"]))[0], 200, "a reader reads")
            equal(call(n, issuer.token(sub="bob", aud="sluice", groups=["readers"]), method="POST",
                       body={"class": "A"})[0], 403, "a reader writes")
        refused(n, issuer.token(sub="alice", aud="other"), "expected audience")
        refused(n, issuer.token(sub="alice", aud="sluice", exp=now - 100), "the token is expired")
        refused(n, issuer.token(sub="alice", aud="sluice", iss="http://127.0.0.1:1"), "different provider")
        n.close()


def test_groups_have_roles(bin_dir):
    issuer = Issuer(RSA)
    n = node(bin_dir, issuer, AUTHORIZATION_RBAC_ENABLED="true", AUTHORIZATION_RBAC_ROOT_GROUPS="admins",
             AUTHENTICATION_APIKEY_ENABLED="true", AUTHENTICATION_APIKEY_ALLOWED_KEYS="dots.in.key",
             AUTHENTICATION_APIKEY_USERS="keeper")
    body = {"class": "Movies"}
    equal(call(n, RSA.token(issuer.claims(groups=["readers"])), method="POST", body=body)[0], 403, "no role")
    equal(call(n, RSA.token(issuer.claims(groups=["x", "admins"])), method="POST", body=body)[0], 200, "admin")
    equal(call(n, "dots.in.key", "/v1/users/own-info")[1]["username"], "keeper", "a key that looks like a token")
    refused(n, None, "[API-keys, OIDC]")
    n.close()
    issuer.stop()


def test_keys_rotate(bin_dir):
    issuer = Issuer(RSA)
    n = node(bin_dir, issuer)
    equal(call(n, RSA.token(issuer.claims()))[0], 200, "the first key")
    issuer.keys = [RSA2]
    equal(call(n, RSA2.token(issuer.claims()))[0], 200, "a new key, at once")
    refused(n, RSA.token(issuer.claims()), "failed to verify signature")
    issuer.keys = [RSA]
    equal(call(n, RSA.token(issuer.claims()))[0], 200, "back again")
    for i in range(40):  # invented keys
        refused(n, RSA.token(issuer.claims(), kid=f"x{i}"), "failed to verify signature")
    check(issuer.fetches <= 1 + 4, f"{issuer.fetches} fetches")
    equal(call(n, RSA.token(issuer.claims()))[0], 200, "known keys meanwhile")
    n.close()
    issuer.stop()


def test_known_keys_outlive_the_issuer(bin_dir):
    issuer = Issuer(RSA)
    n = node(bin_dir, issuer)
    equal(call(n, RSA.token(issuer.claims()))[0], 200, "the issuer is there")
    issuer.stop()
    refused(n, RSA2.token(issuer.claims()), "failed to verify signature")
    logged(n, "cannot be fetched")
    equal(call(n, RSA.token(issuer.claims()))[0], 200, "a known key, the issuer is away")
    issuer.keys = [RSA2]
    issuer.start()
    equal(call(n, RSA2.token(issuer.claims()))[0], 200, "the issuer is back")
    n.close()
    issuer.stop()


def test_a_node_starts_without_the_issuer(bin_dir):
    issuer = Issuer(RSA)
    issuer.stop()
    n = node(bin_dir, issuer)
    equal(n.call("GET", "/v1/.well-known/ready")[0], 200, "ready")
    refused(n, RSA.token(issuer.claims()), "not known yet", 503)
    refused(n, RSA.token(issuer.claims(exp=1)), "the token is expired")
    issuer.start()
    equal(call(n, RSA.token(issuer.claims()))[0], 200, "the issuer came")
    n.close()
    issuer.stop()


def test_an_issuer_that_hangs_holds_few_requests(bin_dir):
    issuer = Issuer(RSA)
    n = node(bin_dir, issuer)
    equal(call(n, RSA.token(issuer.claims()))[0], 200, "the issuer is there")
    issuer.free.clear()
    forged = [threading.Thread(target=call, args=(n, RSA2.token(issuer.claims(), kid=f"x{i}"))) for i in range(24)]
    begun = time.monotonic()
    for thread in forged:
        thread.start()
    for _ in range(20):
        equal(call(n, None, "/v1/.well-known/live")[0], 200, "others are served")
    check(time.monotonic() - begun < 3, f"others waited {time.monotonic() - begun} s")
    for thread in forged:
        thread.join()
    issuer.free.set()
    n.close()
    issuer.stop()


def test_what_is_not_the_issuer_is_not_believed(bin_dir):
    lies = {"calls itself": {"told": "http://127.0.0.1:1/other"}, "larger than": {"body": b" " * 1_000_000},
            "is expected": {"body": b"<html>"}}
    for text, lie in lies.items():
        issuer = Issuer(RSA)
        vars(issuer).update(lie)
        n = node(bin_dir, issuer)
        logged(n, text)
        refused(n, RSA.token(issuer.claims()), "not known yet", 503)
        n.close()
        issuer.stop()


def test_authorities(bin_dir):
    with tempfile.TemporaryDirectory(prefix="sluice-tls-") as folder:
        pairs = []
        for name in ("ours", "other"):
            key, cert = f"{folder}/{name}.key", f"{folder}/{name}.pem"
            openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-subj", "/CN=issuer",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2")
            pairs.append((cert, key))
        issuer = Issuer(RSA, tls=pairs[0])
        text = pathlib.Path(pairs[0][0]).read_text()
        for env, status in (({"AUTHENTICATION_OIDC_CERTIFICATE": pairs[0][0]}, 200),
                            ({"AUTHENTICATION_OIDC_CERTIFICATE": text}, 200),
                            ({"AUTHENTICATION_OIDC_INSECURE_SKIP_TLS_VERIFY": "true"}, 200),
                            ({"AUTHENTICATION_OIDC_CERTIFICATE": pairs[1][0]}, 503), ({}, 503)):
            n = node(bin_dir, issuer, **env)
            got = call(n, RSA.token(issuer.claims()))
            equal(got[0], status, f"{list(env)}: {got[1]}")
            n.close()
        issuer.stop()


def test_settings_that_cannot_work(bin_dir):
    whole = {"AUTHENTICATION_OIDC_ENABLED": "true", "AUTHENTICATION_OIDC_ISSUER": "https://idp.example",
             "AUTHENTICATION_OIDC_CLIENT_ID": "x", "AUTHENTICATION_OIDC_USERNAME_CLAIM": "sub"}
    for name, value in (("AUTHENTICATION_OIDC_ISSUER", ""), ("AUTHENTICATION_OIDC_CLIENT_ID", ""),
                        ("AUTHENTICATION_OIDC_USERNAME_CLAIM", ""), ("AUTHENTICATION_OIDC_ISSUER", "idp.example"),
                        ("AUTHENTICATION_OIDC_JWKS_URL", "file:///etc/passwd"),
                        ("AUTHENTICATION_OIDC_CERTIFICATE", "/nowhere/ca.pem")):
        with tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
            done = subprocess.run([f"{bin_dir}/sluiced"], capture_output=True, text=True, timeout=60, check=False,
                                  env={**whole, name: value, "PERSISTENCE_DATA_PATH": folder, "SLUICE_PORT": "0",
                                       "GRPC_PORT": "0"})
            check(done.returncode in (1, 2) and name in done.stderr, f"{name}={value}: {done}")


if __name__ == "__main__":
    run(dict(globals()))
