"""Cases for auth_oidc_test: tokens made by the openssl program, and what becomes of each.

The published examples are RFC 7515 A.2 (RS256) and A.3 (ES256).
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "lib"))

from jose import Key, b64, bare_token, hmac_token  # noqa: E402 pylint: disable=wrong-import-position

NOW = 1_700_000_000
OK, REFUSED, NO_KEY = "SL_OK", "SL_EUNAUTH", "SL_ENOTFOUND"
JOE = ("eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ")
RFC_RSA = {"kty": "RSA", "e": "AQAB",
           "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4Ql"
                "L-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUs"
                "LA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoud"
                "F8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}
RFC_EC = {"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
          "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
RFC_RS256 = (f"eyJhbGciOiJSUzI1NiJ9.{JOE}."
             "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF"
             "9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383Lc"
             "OLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlV"
             "mtVrBp0igcN_IoypGlUPQGe77Rw")
RFC_ES256 = (f"eyJhbGciOiJFUzI1NiJ9.{JOE}."
             "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")
# RFC 7515 A.1: the same claims under a shared secret.
RFC_HS256 = ("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
             f"{JOE}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
RFC_OCT = {"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}

rsa, ec, other = Key("RSA", "r"), Key("EC", "e"), Key("RSA", "r")
small, p384 = Key("RSA", "small", bits=1024), Key("EC", "p384", curve="P-384")
SET = {"keys": [rsa.jwk(use="sig", alg="RS256"), rsa.jwk(kid="ps", alg="PS256"), ec.jwk(key_ops=["verify"])]}
cases = []


def claims(**more):
    found = {"iss": "https://idp.example", "aud": "sluice", "sub": "alice", "exp": NOW + 60, **more}
    return {k: v for k, v in found.items() if v is not None}


def case(name, token, want=REFUSED, text="", jwks=None, now=NOW, user="alice", groups=(), **opts):
    jwks = jwks or SET
    cases.append({"name": name, "token": token, "want": want, "text": text, "now": now, "user": user,
                  "groups": list(groups), "jwks": jwks if isinstance(jwks, str) else json.dumps(jwks),
                  "opts": {"issuer": "https://idp.example", "client_id": "sluice", "any_client": False,
                           "username_claim": "sub", "groups_claim": "groups", **opts}})


good = rsa.token(claims())
head, body, signature = good.split(".")


def examples():
    joe = {"now": 1300819379, "user": "joe", "issuer": "joe", "username_claim": "iss", "any_client": True}
    case("RFC 7515 A.2", RFC_RS256, OK, jwks={"keys": [RFC_RSA]}, **joe)
    case("RFC 7515 A.3", RFC_ES256, OK, jwks={"keys": [RFC_RSA, RFC_EC]}, **joe)
    case("RFC 7515 A.1", RFC_HS256, text="must be signed by", jwks={"keys": [RFC_OCT]}, **joe)
    case("RFC 7515 A.2 later", RFC_RS256, text="is expired", jwks={"keys": [RFC_RSA]}, **{**joe, "now": 1300819440})
    case("RFC 7515 A.2 the last second", RFC_RS256, OK, jwks={"keys": [RFC_RSA]}, **{**joe, "now": 1300819439})


def accepted():
    case("RS256", good, OK)
    case("PS256", rsa.token(claims(), "PS256", kid="ps"), OK)
    case("ES256", ec.token(claims()), OK)
    case("no kid", rsa.token(claims(), kid=None), OK)
    case("key of any algorithm", rsa.token(claims(), "PS256"), OK, jwks={"keys": [rsa.jwk()]})
    case("two audiences", rsa.token(claims(aud=["x", "sluice"])), OK)
    case("any audience", rsa.token(claims(aud=None)), OK, any_client=True)
    case("times within the skew", rsa.token(claims(exp=NOW - 59, nbf=NOW + 60, iat=NOW + 60)), OK)
    case("fractions", rsa.token(claims(exp=NOW + 0.5, iat=NOW - 0.5)), OK)
    case("groups", rsa.token(claims(groups=["a", "", 7, "b"])), OK, groups=["a", "b"])
    case("one group", rsa.token(claims(groups="a")), OK, groups=["a"])
    case("no groups wanted", rsa.token(claims(groups=["a"])), OK, groups_claim="")
    case("groups of no list", rsa.token(claims(groups={"a": 1})), OK)
    case("names beyond ASCII", rsa.token(claims(sub="ålice")), OK, user="ålice")
    case("duplicate kid, second key", other.token(claims()), OK, jwks={"keys": [rsa.jwk(), other.jwk()]})
    case("duplicate kid, other type", ec.token(claims(), kid="r"), OK, jwks={"keys": [rsa.jwk(), ec.jwk(kid="r")]})
    case("keys that mean nothing here", good, OK, jwks={"keys": [None, 7, {}, RFC_OCT, p384.jwk(), *SET["keys"]]})
    case("thirty keys before it", ec.token(claims()), OK, jwks={"keys": [rsa.jwk(kid=f"k{i}") for i in range(30)] +
                                                                       [ec.jwk(kid=f"f{i}") for i in range(30)] + [ec.jwk()]})


def forged():
    case("alg none", bare_token(claims()), text="malformed jwt")
    for alg in ("none", "None", "nOnE", "", "RS256 "):
        case(f"alg {alg!r} with a signature", bare_token(claims(), alg, signature), text="must be signed by")
    for secret in (rsa.public_pem(), rsa.public_pem().strip(), rsa.jwk()["n"].encode()):
        case("HS256 with the public key", hmac_token(claims(), secret, "r"), text="must be signed by")
    case("RS256 said, HMAC made", hmac_token(claims(), rsa.public_pem(), "r", "RS256"), NO_KEY)
    case("wrong key", other.token(claims()), NO_KEY, "failed to verify signature")
    case("unknown kid", rsa.token(claims(), kid="x"), NO_KEY)
    case("kid of a key of another type", rsa.token(claims(), kid="e"), NO_KEY)
    case("PS256 by a key for RS256", rsa.token(claims(), "PS256"), NO_KEY)
    case("RS256 by a key for PS256", rsa.token(claims(), kid="ps"), NO_KEY)
    case("RS256 said, PS256 made", ".".join(good.split(".")[:2]) + "." +
         b64(rsa.sign(f"{head}.{body}".encode(), "PS256")), NO_KEY)
    case("claims exchanged", f"{head}.{b64(json.dumps(claims(sub='root')).encode())}.{signature}", NO_KEY)
    case("header exchanged", f"{b64(json.dumps({'alg': 'RS256', 'kid': 'r', 'x': 1}).encode())}.{body}.{signature}",
         NO_KEY)
    case("signature cut", f"{head}.{body}.{signature[:-6]}", NO_KEY)
    case("key in the header", other.token(claims(), jwk=other.jwk(), kid=None), NO_KEY)
    case("key's address in the header", other.token(claims(), jku="http://127.0.0.1:1/"), NO_KEY)
    case("ES256 of zeros", f"{b64(json.dumps({'alg': 'ES256', 'kid': 'e'}).encode())}.{body}.{b64(bytes(64))}", NO_KEY)
    case("ES256 in DER", ec_der(), NO_KEY)
    case("a key of 1024 bits", small.token(claims()), NO_KEY, jwks={"keys": [small.jwk()]})
    case("P-384", bare_token(claims(), "ES384", signature), text="must be signed by", jwks={"keys": [p384.jwk()]})
    case("a key for encryption", good, NO_KEY, jwks={"keys": [rsa.jwk(use="enc")]})
    case("a key that signs", good, NO_KEY, jwks={"keys": [rsa.jwk(key_ops=["sign"])]})
    case("a set without keys", good, NO_KEY, jwks={"keys": []})
    case("crit", rsa.token(claims(), crit=["exp"]), text="extensions")
    case("b64", rsa.token(claims(), b64=False), text="extensions")


def ec_der():
    text = f"{b64(json.dumps({'alg': 'ES256', 'kid': 'e'}).encode())}.{body}"
    return f"{text}.{b64(ec.sign(text.encode(), 'DER'))}"


def wrong_claims():
    case("expired", rsa.token(claims(exp=NOW - 60)), text="the token is expired")
    case("no exp", rsa.token(claims(exp=None)), text="when it expires")
    case("exp as text", rsa.token(claims(exp=str(NOW + 9))), text="claim 'exp' of the token is not a time")
    case("exp beyond numbers", rsa.token(claims(exp=1e300)), text="not a time")
    case("exp beyond doubles", rsa.token(json.dumps(claims()).replace(str(NOW + 60), "1e999").encode()),
         text="malformed jwt")
    case("exp null", rsa.token(json.dumps(claims()).replace(str(NOW + 60), "null").encode()), text="not a time")
    case("not valid yet", rsa.token(claims(nbf=NOW + 61)), text="not valid yet")
    case("issued in the future", rsa.token(claims(iat=NOW + 61)), text="in the future")
    for issuer in ("https://idp.example/", "https://IDP.example", None, 7, ["https://idp.example"]):
        case(f"issuer {issuer!r}", rsa.token(claims(iss=issuer)), text="different provider")
    for audience in ("other", "sluice2", [], ["a", "b"], None, 7, {"sluice": 1}):
        case(f"audience {audience!r}", rsa.token(claims(aud=audience)), text="expected audience \"sluice\"")
    case("no name", rsa.token(claims(sub=None)), text="token doesn't contain required claim 'sub'")
    case("empty name", rsa.token(claims(sub="")), text="claim 'sub' is not a string, or is empty")
    case("name as number", rsa.token(claims(sub=7)), text="claim 'sub' is not a string")
    case("name with NUL", rsa.token(claims(sub="alice\0x")), text="malformed jwt")
    case("name twice", rsa.token(json.dumps(claims()).replace("{", '{"sub": "root", ', 1).encode()),
         text="malformed jwt")
    case("claims no object", rsa.token(b"[1]"), text="malformed jwt")
    case("claims nested deep", rsa.token(b'{"a":' + b"[" * 4000 + b"]" * 4000 + b"}"), text="malformed jwt")
    case("claims not UTF-8", rsa.token(b'{"iss":"\xff"}'), text="malformed jwt")


def malformed():
    last = good[-1]
    twin = chr(ord(last) + 1) if last not in "zZ9_" else last  # the same bits that count, others that do not
    for name, token in {"empty": "", "a dot": ".", "dots": "..", "text": "abc", "two parts": f"{head}.{body}",
                        "four parts": f"{good}.x", "no header": f".{body}.{signature}",
                        "no claims": f"{head}..{signature}", "no signature": f"{head}.{body}.",
                        "padding": f"{head}.{body}.{signature}==", "plus": f"{head}.{body}.+{signature[1:]}",
                        "blank": f"{head}.{body}.{signature[:9]} {signature[10:]}", "line": f"{good}\n",
                        "one letter more": f"{head}.{body}.{signature}A" if len(signature) % 4 == 0 else
                        f"{head}.{body}.A", "header no JSON": f"{b64(b'xx')}.{body}.{signature}",
                        "not canonical": good[:-1] + twin, "kid a number": rsa.token(claims(), kid=5),
                        "claims no base64": f"{head}.*.{signature}",
                        "alg twice": f"{b64(b'{%salg%s:%sRS256%s,%salg%s:%snone%s}'.replace(b'%s', b'%c' % 34))}"
                                     f".{body}.{signature}"}.items():
        if name != "not canonical" or twin != last:
            case(name, token, text="malformed jwt")
    case("just not too large", rsa.token(claims(x="x" * 11_000)), OK)
    case("huge", rsa.token(claims(x="x" * 13_000)), text="larger than 16384 bytes")
    case("huge nothing", "." * 1_000_000, text="larger than 16384 bytes")


for part in (examples, accepted, forged, wrong_claims, malformed):
    part()
pathlib.Path(sys.argv[1]).write_text(json.dumps(cases))
