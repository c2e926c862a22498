"""The S3 driver against a strict server that plays faults: regions, rights, keys that end, lost and wrong answers.

Every test judges by what the server holds and saw, and by the sentences; `faults` of the server (a wrong signature,
a header that is not signed, a missing checksum, ...) must stay empty.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import random
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from backend_tool import Tool  # noqa: E402
from node import check, equal, run  # noqa: E402
from s3_server import (BUCKET, CUT, DAMAGE, HALF, KEY, LOST, SECRET, STALL, Object, Reply, S3Server, Upload,  # noqa: E402
                       first)

PLACE = f"s3://{BUCKET}/weekly"
PART = 5 << 20
SIZE = 2 * PART + 1_000_000  # three parts
DATA = random.Random(7).randbytes(SIZE)


@contextlib.contextmanager
def world(bin_dir, place=PLACE, env=None, is_bare=False, **settings):
    """(server, tool, file of SIZE bytes)"""
    with S3Server(settings.pop("region", "us-east-1"), settings.pop("is_tls", False)) as server, tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
        for name, value in settings.items():
            setattr(server, name, value)
        path = pathlib.Path(folder, "object")
        path.write_bytes(DATA)
        given = env(server, pathlib.Path(folder)) if callable(env) else env or {}
        with Tool(bin_dir, place, **{**(server.bare_env if is_bare else server.env), **given}) as tool:
            yield server, tool, path
        equal(server.faults, [], "what the requests did wrong")


def check_object(server, key="weekly/id/a", data=DATA):
    check(key in server.objects, "no object", sorted(server.objects))
    equal(hashlib.sha256(server.objects[key].data).hexdigest(), hashlib.sha256(data).hexdigest(), key)
    equal(server.uploads, {}, "uploads left open")


# ---- what goes over the wire ----

def test_objects_carry_what_the_settings_say(bin_dir):
    env = {"SLUICE_S3_SSE": "aws:kms", "SLUICE_S3_KMS_KEY": "alias/x", "SLUICE_S3_BUCKET_KEY": "true",
           "SLUICE_S3_STORAGE_CLASS": "STANDARD_IA", "SLUICE_S3_TAGS": "a=1&b=x%20y", "SLUICE_S3_REQUESTER_PAYS": "true"}
    with world(bin_dir, env=env) as (server, tool, path):
        tool.ok("probe")
        tool.ok("put", "id/a", "small")
        tool.ok("upload", "id/b", path, PART)
        tool.ok("get", "id/a", 100)
        tool.ok("list", "")
        tool.ok("abandon", "id/c", path, PART)
        tool.ok("sweep", "")
        for key in ("weekly/id/a", "weekly/id/b"):
            headers = dict(server.objects[key].headers)
            check(len(headers.pop("x-amz-meta-sluice-write")) == 32, headers)
            equal(headers, {"content-type": "application/octet-stream", "x-amz-server-side-encryption": "aws:kms",
                            "x-amz-server-side-encryption-aws-kms-key-id": "alias/x",
                            "x-amz-server-side-encryption-bucket-key-enabled": "true",
                            "x-amz-storage-class": "STANDARD_IA", "x-amz-tagging": "a=1&b=x%20y"}, key)
        for request in server.log:
            equal(request.headers.get("x-amz-request-payer"), "requester", request.name)
    with world(bin_dir, env={"SLUICE_S3_SSE": "AES256"}) as (server, tool, path):
        tool.ok("put", "id/a", "small")
        equal(server.objects["weekly/id/a"].headers["x-amz-server-side-encryption"], "AES256", "SSE-S3")


def test_small_objects_are_one_put_and_parts_are_checked(bin_dir):
    with world(bin_dir) as (server, tool, path):
        for size in (0, 1, 1 << 20):
            path.write_bytes(DATA[:size])
            tool.ok("upload", f"id/{size}", path, PART)
            check_object(server, f"weekly/id/{size}", DATA[:size])
        equal(server.count("CreateMultipartUpload"), 0, "multipart uploads")
        path.write_bytes(DATA)
        tool.ok("upload", "id/a", path, PART)
        check_object(server)
        check(server.objects["weekly/id/a"].checksum.endswith("-3"), server.objects["weekly/id/a"].checksum)
        equal(tool.ok("get", "id/a", SIZE)["sha256"], hashlib.sha256(DATA).hexdigest(), "read back")
        equal(tool.ok("read", "id/a", SIZE - 5, 100)["sha256"], hashlib.sha256(DATA[-5:]).hexdigest(), "its end")
        equal(tool.ok("read", "id/a", SIZE, 100)["size"], 0, "behind its end")


def hashes(server, name):
    return {r.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD" for r in server.log if r.name == name}


def test_what_vouches_for_bodies(bin_dir):
    """Inside TLS the signed checksum of a large body; where the store says nothing of it, its hash from then on."""
    with world(bin_dir, is_tls=True) as (server, tool, path):
        tool.ok("upload", "id/a", path, PART)
        check_object(server)
        equal(hashes(server, "UploadPart"), {True}, "parts without a hash")
        equal(hashes(server, "CompleteMultipartUpload"), {False}, "small bodies without a hash")
    with world(bin_dir, is_tls=True, tells_checksums=False) as (server, tool, path):
        tool.ok("upload", "id/a", path, PART)
        server.log.clear()
        tool.ok("upload", "id/b", path, PART)
        check_object(server, "weekly/id/b")
        equal(hashes(server, "UploadPart"), {False}, "parts without a hash")
    with world(bin_dir, is_tls=True, knows_checksums=False) as (server, tool, path):
        tool.ok("upload", "id/a", path, PART)
        check_object(server)
        server.log.clear()
        tool.ok("upload", "id/b", path, PART)
        equal(hashes(server, "UploadPart"), {False}, "parts without a hash")


def test_names_and_pages(bin_dir):
    names = ["a b", "a+b", "a%2Bb", "a&b=c", "a<b>", "a\x01b", "\u00e4\u20ac \U0001f422", "z/1", "z/2", "z2/1", "~", "a'b\"c"]
    with world(bin_dir, page_max=2) as (server, tool, _):
        for name in names:
            tool.ok("put", name, "12")
        equal(sorted(server.objects), sorted(f"weekly/{n}" for n in names), "names at the server")
        server.objects["weekly2/foreign"] = server.objects["weekly/~"]
        server.objects["weekly/z/"] = server.objects["weekly/~"]  # the mark of a folder, made by a console
        listed = tool.ok("list", "")["listed"]
        equal(listed, [[n, 2] for n in sorted(names, key=str.encode)], "list")
        equal(tool.ok("folders", "")["listed"], [["z", 0], ["z2", 0]], "folders")
        for name in names:
            equal(tool.ok("get", name, 9)["size"], 2, name)


def test_bucket_in_the_host_name(bin_dir):
    def env(server, _):
        return {"BACKUP_S3_ENDPOINT": f"localhost:{server.port}", "SLUICE_S3_STYLE": "host"}
    with world(bin_dir, env=env) as (server, tool, path):
        tool.ok("probe")
        tool.ok("upload", "id/a", path, PART)
        check_object(server)
        check(all(r.headers["host"].startswith(BUCKET + ".localhost") for r in server.log), "hosts")


# ---- regions ----

def test_the_bucket_is_followed_to_its_region(bin_dir):
    with world(bin_dir, region="eu-west-3", env={"AWS_REGION": "us-east-1"}) as (server, tool, path):
        tool.ok("probe")
        equal([r.region for r in server.log], ["us-east-1", "eu-west-3"], "regions")
        tool.ok("upload", "id/a", path, PART)
        check_object(server)
        equal({r.region for r in server.log[2:]}, {"eu-west-3"}, "regions from then on")
    with world(bin_dir, region="ap-south-1", env={"AWS_REGION": "", "AWS_DEFAULT_REGION": "ap-south-1"}) as (server, tool, _):
        tool.ok("probe")
        equal(len(server.log), 1, "requests")


def test_regions_in_a_circle_end(bin_dir):
    def circle(request):
        region = "eu-west-1" if "/eu-west-2/" in request.headers["authorization"] else "eu-west-2"
        return Reply(301, "PermanentRedirect", region=region, x_amz_bucket_region=region)
    with world(bin_dir) as (server, tool, _):
        server.rules.append(circle)
        tool.fails("SL_EINVAL", "probe", has=("from region to region", "AWS_REGION", BUCKET))
        check(len(server.log) <= 3, len(server.log))
        server.rules[:] = [lambda _: Reply(301, "PermanentRedirect", region="evil.example/x", Location="http://127.0.0.2:1/")]
        tool.fails("SL_EINVAL", "probe", has=("elsewhere", "AWS_REGION"))
        check(len(server.log) <= 4, len(server.log))


# ---- keys ----

def by_web_identity(server, folder):
    (folder / "token").write_text("good\n")
    return {"AWS_WEB_IDENTITY_TOKEN_FILE": folder / "token", "AWS_ROLE_ARN": "arn:aws:iam::1:role/r",
            "AWS_ROLE_SESSION_NAME": "me", "AWS_ENDPOINT_URL_STS": server.url}


def by_metadata(server, _):
    return {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": server.url}


def by_container(server, folder):
    (folder / "token").write_text("tok\n")
    return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": server.url + "/creds",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": folder / "token"}


def by_container_token(server, _):
    return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": server.url + "/creds", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "tok"}


def by_profile(server, folder):
    (folder / ".aws").mkdir()
    (folder / ".aws/credentials").write_text(f"[other]\naws_access_key_id = x\naws_secret_access_key = y\n\n"
                                             f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key={SECRET}\n")
    return {"HOME": folder}


def by_profile_role(server, folder):
    (folder / "keys").write_text(f"[base]\naws_access_key_id = {KEY}\naws_secret_access_key={SECRET}\n")
    (folder / "config").write_text("# roles\n[profile ours]\nrole_arn = arn:aws:iam::1:role/p\nsource_profile = base\n"
                                   "external_id = ex\nregion = us-east-1\ns3 =\n  max_concurrent_requests = 3\n")
    return {"AWS_SHARED_CREDENTIALS_FILE": folder / "keys", "AWS_CONFIG_FILE": folder / "config",
            "AWS_PROFILE": "ours", "AWS_ENDPOINT_URL_STS": server.url + "/"}


def process_profile(folder, script, more=""):
    """A profile whose keys a script gives; its path and one of its arguments have a blank."""
    path = folder / "give keys"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    (folder / "config").write_text(f"[profile ours]\ncredential_process = \"{path}\" --for 'us all' secret-argument\n{more}")
    return {"AWS_CONFIG_FILE": folder / "config", "AWS_PROFILE": "ours"}


def by_process(server, folder):
    return process_profile(folder, f"[ \"$2\" = 'us all' ] && curl -s -H 'Authorization: tok' {server.url}/creds |"
                                   "sed 's/\"Token\"/\"SessionToken\"/; s/{/{\"Version\": 1, /'")


def by_process_role(server, folder):
    env = by_process(server, folder)
    with (folder / "config").open("a") as f:
        f.write("[profile role]\nrole_arn = arn:aws:iam::1:role/p\nsource_profile = ours\n")
    return {**env, "AWS_PROFILE": "role", "AWS_ENDPOINT_URL_STS": server.url}


SSO_ROLE = "sso_account_id = 123456789012\nsso_role_name = Read+Write\n"
SSO_PLACE = "sso_start_url = https://x.awsapps.com/start\nsso_region = eu-west-1\n"


def sso_login(folder, name, token="login", end="2999-01-01T00:00:00Z"):
    """What `aws sso login` leaves: a file by the SHA-1 of the session's name or the start URL."""
    cache = folder / ".aws/sso/cache"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / f"{hashlib.sha1(name.encode()).hexdigest()}.json").write_text(json.dumps(
        {"startUrl": "https://x.awsapps.com/start", "region": "eu-west-1", "accessToken": token, "expiresAt": end,
         "clientId": "c", "clientSecret": "secret", "refreshToken": "secret"}))


def sso_profile(server, folder, config):
    (folder / ".aws").mkdir(exist_ok=True)
    (folder / ".aws/config").write_text(config)
    return {"HOME": folder, "AWS_PROFILE": "ours", "AWS_ENDPOINT_URL_SSO": server.url + "/"}


def by_sso_session(server, folder):
    sso_login(folder, "our session")
    return sso_profile(server, folder, f"[sso-session other]\nsso_region = us-west-2\n[profile our session]\nregion = x\n"
                                       f"[profile ours]\nsso_session = our session\n{SSO_ROLE}"
                                       f"[sso-session our session]\n{SSO_PLACE}sso_registration_scopes = sso:account:access\n")


def by_sso_url(server, folder):
    sso_login(folder, "https://x.awsapps.com/start", end="2999-01-01T00:00:00UTC")
    return sso_profile(server, folder, f"[profile ours]\n{SSO_PLACE}{SSO_ROLE}")


def by_export_role(server, _):
    return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "EXPORT_S3_ROLE_ARN": "arn:aws:iam::1:role/x",
            "EXPORT_S3_EXTERNAL_ID": "ext", "EXPORT_S3_STS_ENDPOINT": server.url}


PROVIDERS = [by_web_identity, by_metadata, by_container, by_container_token, by_profile, by_profile_role, by_process,
             by_process_role, by_sso_session, by_sso_url, by_export_role]


def test_every_place_of_credentials(bin_dir):
    for provider in PROVIDERS:
        with world(bin_dir, is_bare=True, env=provider) as (server, tool, path):
            tool.ok("probe")
            tool.ok("upload", "id/a", path, PART)
            check_object(server)
            is_temporary = provider is not by_profile
            check(all(r.key_id.startswith("ASIA" if is_temporary else KEY) for r in server.log), provider.__name__)
            fetched = [r for r in server.service_log if r.path in ("/", "/creds", "/federation/credentials") or
                       r.path.endswith("Role-1")]
            equal(len(fetched), 2 if provider is by_process_role else 1 if is_temporary else 0, f"{provider.__name__}: how often keys were fetched")
            if provider is by_export_role:
                form = fetched[0].form
                equal((form["RoleArn"], form["ExternalId"], form["RoleSessionName"]),
                      ("arn:aws:iam::1:role/x", "ext", "weaviate-export-s3"), "AssumeRole")
            if provider is by_profile_role:
                equal((fetched[0].form["RoleArn"], fetched[0].form["ExternalId"]), ("arn:aws:iam::1:role/p", "ex"), "role")
            if provider in (by_sso_session, by_sso_url):
                equal(fetched[0].query, {"role_name": "Read+Write", "account_id": "123456789012"}, "role")
            if provider is by_web_identity:
                equal((fetched[0].form["RoleArn"], fetched[0].form["RoleSessionName"]), ("arn:aws:iam::1:role/r", "me"), "")


def test_the_region_of_the_profile_counts(bin_dir):
    def env(server, folder):
        (folder / "config").write_text("[default]\nregion = eu-north-1\n")
        return {"AWS_REGION": "", "AWS_CONFIG_FILE": folder / "config"}
    with world(bin_dir, region="eu-north-1", env=env) as (server, tool, _):
        tool.ok("probe")
        equal([r.region for r in server.log], ["us-east-1", "eu-north-1"][-len(server.log):], "regions")
        equal(len(server.log), 1, "requests")


def test_keys_that_end_are_renewed_once_for_all(bin_dir):
    """Refused in mid-upload, by the code of Amazon and by that of SeaweedFS: four threads, one renewal."""
    for code, status in (("ExpiredToken", 400), ("InvalidAccessKeyId", 403)):
        with world(bin_dir, is_bare=True, env=by_metadata) as (server, tool, path):
            refused = []

            def expire(request, code=code, status=status, refused=refused):
                if request.name != "UploadPart":
                    return None
                with server.lock:
                    key_id = request.headers["authorization"].split("=")[1].split("/")[0]
                    refused.append(key_id)
                    return Reply(status, code) if key_id == refused[0] else None
            tool.ok("probe")
            server.rules.append(expire)
            tool.ok("upload", "id/a", path, PART)
            check_object(server)
            fetched = sum(r.path.endswith("Role-1") for r in server.service_log)
            equal(fetched, 2, f"{code}: how often keys were fetched")


def until(condition, tool, what):
    """Writes objects until it holds; how many. Keys end by the clock of the machine."""
    begun, n = time.monotonic(), 0
    while not condition():
        check(time.monotonic() - begun < 20, what)
        tool.ok("put", f"id/{n}", "x")
        n += 1
    return n


def test_keys_are_renewed_before_they_end(bin_dir):
    """Short-lived keys: the server never sees one that has ended."""
    for provider in (by_container_token, by_process, by_sso_session):
        with world(bin_dir, is_bare=True, env=provider, key_life=3) as (server, tool, _):
            n = until(lambda: len({r.key_id for r in server.log}) >= 3, tool, "keys are not renewed")
            equal(server.count("PutObject"), n, "requests: none was refused")
            equal(sum(r.path in ("/creds", "/federation/credentials") for r in server.service_log), 3, "how often keys were fetched")


def test_a_failed_early_renewal_harms_nobody(bin_dir):
    with world(bin_dir, is_bare=True, env=by_container_token, key_life=5) as (server, tool, _):
        tool.ok("put", "id/first", "x")
        server.metadata_status = 500
        until(lambda: sum(r.path == "/creds" for r in server.service_log) >= 2, tool, "no renewal was tried")
        tool.ok("put", "id/last", "x")


def test_the_first_place_wins_and_faults_are_told(bin_dir):
    def both(server, folder):
        return {**by_profile(server, folder), **by_web_identity(server, folder)}
    with world(bin_dir, is_bare=True, env=both) as (server, tool, _):
        tool.ok("probe")
        equal([r.form["Action"] for r in server.service_log], ["AssumeRoleWithWebIdentity"], "who was asked")
    with world(bin_dir, env=by_web_identity) as (server, tool, _):
        tool.ok("probe")
        equal(server.service_log, [], "keys of the settings win")
    with world(bin_dir, is_bare=True, env=by_web_identity, web_tokens=set()) as (server, tool, _):
        tool.fails("SL_EACCESS", "probe", has=("AWS_ROLE_ARN", "InvalidIdentityToken", "audience", BUCKET))
    with world(bin_dir, is_bare=True, env=lambda s, f: {**by_export_role(s, f), "EXPORT_S3_ROLE_ARN": "arn:deny"}) as w:
        w[1].fails("SL_EACCESS", "probe", has=("EXPORT_S3_ROLE_ARN", "AccessDenied", "trust policy"))
    with world(bin_dir, is_bare=True, env=lambda s, f: {**by_container(s, f), "AWS_CONTAINER_CREDENTIALS_FULL_URI":
                                                        "http://198.51.100.1/creds"}) as (server, tool, _):
        tool.fails("SL_EINVAL", "probe", has=("AWS_CONTAINER_CREDENTIALS_FULL_URI", "https"))
    with world(bin_dir, is_bare=True, env=by_container_token, container_token="other") as (server, tool, _):
        tool.fails("SL_EACCESS", "probe", has=("AWS_CONTAINER_CREDENTIALS_FULL_URI", "403"))


def profile_env(text, **more):
    def env(_, folder):
        (folder / "keys").write_text(text)
        return {"AWS_SHARED_CREDENTIALS_FILE": folder / "keys", "AWS_CONFIG_FILE": folder / "none", **more}
    return env


def test_faults_of_profiles_name_file_and_line(bin_dir):
    for text, more, words in (
            ("[default]\naws_access_key_id = a\nsecret-cut-off\n", {}, ("line 3", "keys")),
            ("[a]\n", {"AWS_PROFILE": "b"}, ("profile b", "not in")),
            ("[b]\nregion = x\n", {"AWS_PROFILE": "b"}, ("profile b", "no keys")),
            ("[b]\ncredential_process = /nowhere/x secret-cut-off\n", {"AWS_PROFILE": "b"},
             ("profile b", "credential_process", "/nowhere/x cannot be started: No such file")),
            ("[b]\ncredential_process = '/bin/x secret-cut-off\n", {"AWS_PROFILE": "b"}, ("profile b", "inside a quote")),
            ("[b]\nrole_arn = r\n", {"AWS_PROFILE": "b"}, ("role_arn", "source_profile")),
            ("[b]\nrole_arn = r\nsource_profile = c\n[c]\nrole_arn = r\nsource_profile = b\n", {"AWS_PROFILE": "b"},
             ("source_profile leads on",))):
        with world(bin_dir, is_bare=True, env=profile_env(text, **more)) as (server, tool, _):
            answer = tool.call("probe")
            check(answer["rc"] in ("SL_EINVAL", "SL_EUNSUPPORTED"), answer)
            for word in words:
                check(word in answer["text"], word, answer["text"])
            check("secret-cut-off" not in answer["text"], answer["text"])


def test_faults_of_credential_processes_are_told(bin_dir):
    """With the profile and what to do, without what was given or printed."""
    keys = '"AccessKeyId": "secret-id", "SecretAccessKey": "secret-key"'
    for script, rc, words in (
            ("echo secret-out; echo secret-error >&2; exit 3", "SL_EACCESS", ("give keys failed with exit code 3", "in a shell")),
            ("kill -SEGV $$", "SL_EACCESS", ("signal 11", "in a shell")),
            ("yes secret", "SL_EACCESS", ("more than 65536 bytes",)),
            ("echo secret", "SL_EIO", ("no JSON object",)),
            ("echo '[\"secret\"]'", "SL_EIO", ("no JSON object",)),
            (f"echo '{{{keys}}}'", "SL_EIO", ('"Version": 1',)),
            (f"echo '{{\"Version\": 2, {keys}}}'", "SL_EIO", ('"Version": 1',)),
            ("echo '{\"Version\": 1, \"AccessKeyId\": \"secret\"}'", "SL_EIO", ("no keys",)),
            (f"echo '{{\"Version\": 1, {keys}, \"Expiration\": \"secret\"}}'", "SL_EIO", ("is no time",)),
            (f"echo '{{\"Version\": 1, {keys}, \"Expiration\": \"2020-05-29T00:21:43+02:00\"}}'", "SL_EACCESS",
             ("have expired", "log in again"))):
        with world(bin_dir, is_bare=True, env=lambda s, f, t=script: process_profile(f, t)) as (server, tool, _):
            told = tool.fails(rc, "probe", has=("profile ours: credential_process", *words))
            check("secret" not in told, told)
            equal(server.log, [], "requests")


def test_faults_of_sso_tell_who_has_to_log_in(bin_dir):
    ours = f"[profile ours]\nsso_session = s\n{SSO_ROLE}[sso-session s]\n{SSO_PLACE}"
    login = ("profile ours: SSO", "run aws sso login --profile ours")

    def broken(folder):
        sso_login(folder, "s")
        next((folder / ".aws/sso/cache").iterdir()).write_text('{"accessToken": "secret"')

    def nothing(_):
        pass

    def logged_in(folder):
        sso_login(folder, "s", "login-secret")
    for config, cache, settings, rc, words in (
            (ours, nothing, {}, "SL_EACCESS", (*login, "nobody has logged in", "/.aws/sso/cache/a0f1490a20d0211c997b44bc357e1972deab8ae3.json")),
            (ours, lambda f: sso_login(f, "s", "login-secret", "2020-01-01T00:00:00Z"), {}, "SL_EACCESS", (*login, "has expired")),
            (ours, lambda f: sso_login(f, "s", "login-secret", "secret"), {}, "SL_EACCESS", (*login, "holds no login")),
            (ours, lambda f: sso_login(f, "s", ""), {}, "SL_EACCESS", (*login, "holds no login")),
            (ours, broken, {}, "SL_EIO", ("profile ours", "/.aws/sso/cache/", "no JSON object")),
            (ours, logged_in, {}, "SL_EACCESS", (*login, "does not take the login")),
            (ours, logged_in, {"sso_status": 403}, "SL_EACCESS", ("Read+Write", "123456789012", "403", "assigned")),
            (ours.replace("[sso-session s]", "[sso-session t]"), logged_in, {}, "SL_EINVAL", ("[sso-session s]",)),
            (ours.replace("eu-west-1", "evil.example/x"), logged_in, {}, "SL_EINVAL", ("sso_region",)),
            (ours.replace("sso_account_id", "x"), logged_in, {}, "SL_EINVAL", ("sso_account_id is missing",)),
            (ours.replace("sso_role_name", "x"), logged_in, {}, "SL_EINVAL", ("sso_role_name is missing",))):
        def env(server, folder, config=config, cache=cache):
            cache(folder)
            return sso_profile(server, folder, config)
        with world(bin_dir, is_bare=True, env=env, **settings) as (server, tool, _):
            told = tool.fails(rc, "probe", has=words)
            check("secret" not in told, told)
            equal(server.log, [], "requests")


def test_keys_of_the_profile_come_before_its_process(bin_dir):
    def env(_, folder):
        return process_profile(folder, "exit 1", f"aws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    with world(bin_dir, is_bare=True, env=env) as (server, tool, _):
        tool.ok("probe")


# ---- sentences before any data moves ----

def test_what_is_wrong_is_told_and_what_to_do(bin_dir):
    cases = [
        (dict(place="s3://nosuch/weekly"), "SL_EINVAL", ("nosuch", "does not exist", "create it")),
        (dict(env={"AWS_ACCESS_KEY_ID": "AKOTHER"}), "SL_EACCESS", ("AWS_ACCESS_KEY_ID", "does not know the key id", BUCKET)),
        (dict(env={"AWS_SECRET_ACCESS_KEY": "wrong/secret"}), "SL_EACCESS", ("secret of AWS_ACCESS_KEY_ID", "copied whole")),
        (dict(env={"AWS_SESSION_TOKEN": "token-of-nobody"}), "SL_EACCESS", ("session token", "does not belong")),
        (dict(env={"AWS_SECRET_ACCESS_KEY": ""}), "SL_EINVAL", ("AWS_SECRET_ACCESS_KEY is not", "both")),
        (dict(skew=3600), "SL_EACCESS", ("clock", "minutes behind", "NTP")),
        (dict(skew=-3600), "SL_EACCESS", ("clock", "minutes ahead", "NTP")),
        (dict(denied={"ListObjectsV2"}), "SL_EACCESS", ("s3:ListBucket", f"arn:aws:s3:::{BUCKET}", "weekly/",
                                                        "AWS_ACCESS_KEY_ID", "policy")),
    ]
    for settings, rc, words in cases:
        with world(bin_dir, **settings) as (server, tool, _):
            told = tool.fails(rc, "probe", has=words)
            for secret in (SECRET, "wrong/secret", "token-of-nobody", "Signature="):
                check(secret not in told, told)
            equal((server.objects, server.uploads), ({}, {}), "what a probe left")
            check(all(r.method in ("GET", "HEAD") for r in server.log), [r.name for r in server.log])


def test_an_expired_token_of_the_settings_is_told(bin_dir):
    with S3Server() as server:
        key_id, secret, token, _ = server.new_keys(life=-1)
        env = {**server.env, "AWS_ACCESS_KEY_ID": key_id, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}
        with Tool(bin_dir, PLACE, **env) as tool:
            told = tool.fails("SL_EACCESS", "probe", has=("session token", "expired", "AWS_ACCESS_KEY_ID"))
            check(token not in told and secret not in told, told)
        equal(server.faults, [], "faults")


def test_no_credentials_names_what_was_looked_for(bin_dir):
    with world(bin_dir, is_bare=True, env={"HOME": "/nowhere"}) as (server, tool, _):
        tool.fails("SL_EACCESS", "probe", has=("no credentials found", "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE",
                                               "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "profile default",
                                               "AWS_EC2_METADATA_DISABLED", BUCKET))
        equal(server.log, [], "requests")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens
        away = {"HOME": "/nowhere", "AWS_EC2_METADATA_DISABLED": "false",
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{closed.getsockname()[1]}"}
        with world(bin_dir, is_bare=True, env=away) as (server, tool, _):
            begun = time.monotonic()
            tool.fails("SL_EACCESS", "probe", has=("no instance metadata answers",))
            check(time.monotonic() - begun < 5, "it waited for nobody")


def test_servers_that_are_not_there(bin_dir):
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "BACKUP_S3_USE_SSL": "false", "SLUICE_STORE_DEADLINE": "1s"}
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with Tool(bin_dir, PLACE, **keys, BACKUP_S3_ENDPOINT=f"127.0.0.1:{port}") as tool:
            tool.fails("SL_EIO", "put", "id/a", "x", has=(f"127.0.0.1:{port}", "onnect"))
    with Tool(bin_dir, PLACE, **keys, BACKUP_S3_ENDPOINT="nosuch.invalid") as tool:
        tool.fails("SL_EIO", "put", "id/a", "x", has=("nosuch.invalid", "resolve"))
    with S3Server() as server:
        with Tool(bin_dir, PLACE, **{**keys, "BACKUP_S3_ENDPOINT": f"127.0.0.1:{server.port}", "BACKUP_S3_USE_SSL": "yes"}) as tool:
            answer = tool.call("put", "id/a", "x")
            check(answer["rc"] in ("SL_EIO", "SL_EACCESS"), answer)
            equal(server.log, [], "requests without TLS")


# ---- rights ----

def test_a_policy_by_prefix_is_enough(bin_dir):
    """HEAD and GET of a missing object are refused then; deletes are forbidden, too."""
    with world(bin_dir, is_listing_hidden=True, denied={"DeleteObject"}) as (server, tool, path):
        tool.ok("probe")
        tool.fails("SL_ENOTFOUND", "get", "id/a", 100)
        tool.ok("put", "id/a", "one")
        tool.ok("replace", "id/a", "two")
        tool.fails("SL_ECONFLICT", "put", "id/a", "three")
        tool.ok("upload", "id/b", path, PART)
        check_object(server, "weekly/id/b")
        tool.ok("abandon", "id/c", path, PART)
        equal(server.uploads, {}, "uploads left open")
        tool.fails("SL_EACCESS", "remove", "id/a", has=("s3:DeleteObject", f"arn:aws:s3:::{BUCKET}/weekly/*"))
        server.denied = {"GetObject", "ListObjectsV2"}
        tool.fails("SL_EACCESS", "get", "id/none", 100, has=("s3:GetObject",))


# ---- lost, late and wrong answers ----

def test_lost_answers_are_no_failure(bin_dir):
    for name, orders in (("PutObject", 1), ("CreateMultipartUpload", 1), ("UploadPart", 2), ("CompleteMultipartUpload", 1),
                         ("HeadObject", 1)):
        with world(bin_dir) as (server, tool, path):
            server.rules.append(first(orders, name, LOST))
            if name == "PutObject":
                tool.ok("put", "id/a", "small")
                check_object(server, data=b"small")
                path.write_bytes(b"x" * 5000)
                server.rules.append(first(orders, name, LOST))
                tool.ok("upload", "id/b", path, PART)
                check_object(server, "weekly/id/b", b"x" * 5000)
            else:
                tool.ok("upload", "id/a", path, PART)
                check_object(server)


def test_an_upload_begun_twice_leaves_nothing(bin_dir):
    for order in ("upload", "abandon"):
        with world(bin_dir) as (server, tool, path):
            server.rules.append(first(1, "CreateMultipartUpload", LOST))
            tool.ok(order, "id/a", path, PART)
            equal(server.uploads, {}, order)
    with world(bin_dir) as (server, tool, path):
        server.rules.append(first(1, "AbortMultipartUpload", LOST))
        tool.ok("abandon", "id/a", path, PART)
        equal(server.uploads, {}, "a lost abort")


def test_after_a_lost_answer_anothers_object_is_a_conflict(bin_dir):
    """Of the same name, size and bytes: only the mark of the write tells."""
    def steal(request):
        if request.name in ("PutObject", "CompleteMultipartUpload"):
            server.objects[request.key] = Object(DATA if request.name[0] == "C" else b"small",
                                                 {"x-amz-meta-sluice-write": "0" * 32}, '"x"', None)
            server.rules.remove(steal)
            return CUT
        return None
    for order in (("put", "id/a", "small"), ("upload", "id/b", None, PART)):
        with world(bin_dir) as (server, tool, path):
            server.rules.append(steal)
            tool.fails("SL_ECONFLICT", *(path if f is None else f for f in order), has=("exists already",))
            equal(server.uploads, {}, "uploads left open")


def test_an_error_inside_a_200(bin_dir):
    def late(_, reply):
        return Reply(200, "InternalError")

    def unknown_late(_, reply):
        return Reply(200, "Whatever")

    def torn(_, reply):
        return Reply(200, body=reply.body[:60])
    for action in (late, unknown_late, torn):
        with world(bin_dir) as (server, tool, path):
            server.rules.append(first(2, "CompleteMultipartUpload", action))
            tool.ok("upload", "id/a", path, PART)
            check_object(server)
    with world(bin_dir, env={"SLUICE_STORE_DEADLINE": "1s"}) as (server, tool, path):
        server.rules.append(lambda r: Reply(200, "InternalError") if r.name == "CompleteMultipartUpload" else None)
        tool.fails("SL_EIO", "upload", "id/a", path, PART, has=("InternalError", "tried"))
        equal((server.objects, server.uploads), ({}, {}), "what is left")


def test_wrong_checksums_in_answers(bin_dir):
    def lie(_, reply):
        reply.headers["x-amz-checksum-crc32c"] = "AAAAAA=="
        return reply

    def lie_at_the_end(_, reply):
        reply.body = reply.body.replace(b"<ChecksumCRC32C>", b"<ChecksumCRC32C>A")
        return reply

    def no_etag(_, reply):
        del reply.headers["ETag"]
        return reply
    for action in (lie, no_etag):
        with world(bin_dir) as (server, tool, path):
            server.rules.append(first(2, "UploadPart", action))
            tool.ok("upload", "id/a", path, PART)  # sent again, twice
            check_object(server)
        with world(bin_dir) as (server, tool, path):
            server.rules.append(lambda r, a=action: a if r.name == "UploadPart" else None)
            tool.fails("SL_EIO", "upload", "id/a", path, PART)
            equal((server.objects, server.uploads), ({}, {}), "what is left")
    with world(bin_dir) as (server, tool, path):
        server.rules.append(lambda r: lie if r.name == "PutObject" else None)
        tool.fails("SL_ECORRUPT", "put", "id/a", "x", has=("other bytes",))
        server.rules[:] = [lambda r: lie_at_the_end if r.name == "CompleteMultipartUpload" else None]
        tool.fails("SL_ECORRUPT", "upload", "id/b", path, PART, has=("checksum",))


def test_bodies_damaged_cut_and_stalled(bin_dir):
    for action in (DAMAGE, CUT, HALF):
        with world(bin_dir) as (server, tool, path):
            server.rules.append(first(3, "UploadPart", action))
            tool.ok("upload", "id/a", path, PART)
            check_object(server)
    with world(bin_dir, env={"SLUICE_STORE_STALL": "300ms"}) as (server, tool, path):
        server.rules.append(first(2, "UploadPart", STALL))
        tool.ok("upload", "id/a", path, PART)
        check_object(server)
    with world(bin_dir) as (server, tool, _):
        def damage(_, reply):
            reply.body = bytes([reply.body[0] ^ 1]) + reply.body[1:]
            return reply
        tool.ok("put", "id/a", "small")
        server.rules.append(first(2, "GetObject", damage))
        equal(tool.ok("get", "id/a", 99)["sha256"], hashlib.sha256(b"small").hexdigest(), "read again")


def test_storms(bin_dir):
    for reply in (Reply(503, "SlowDown"), Reply(500, "InternalError"), Reply(429), Reply(503, retry_after="1"),
                  Reply(502, body=b"<html><body>Bad Gateway</body>"), Reply(409, "OperationAborted")):
        with world(bin_dir) as (server, tool, path):
            for name in ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"):
                server.rules.append(first(1, name, reply))
            tool.ok("upload", "id/a", path, PART)
            check_object(server)
    with world(bin_dir, env={"SLUICE_STORE_DEADLINE": "1s"}) as (server, tool, path):
        server.rules.append(lambda r: Reply(503, "SlowDown") if r.name == "UploadPart" else None)
        tool.fails("SL_EBUSY", "upload", "id/a", path, PART, has=("s3:PutObject", "weekly/id/a", "tried"))
        equal((server.objects, server.uploads), ({}, {}), "what is left")


def test_servers_that_know_less(bin_dir):
    for conditions, checks in ((False, True), (True, False), (False, False)):
        with world(bin_dir, knows_conditions=conditions, knows_checksums=checks) as (server, tool, path):
            tool.ok("put", "id/s", "one")
            tool.fails("SL_ECONFLICT", "put", "id/s", "two")
            tool.ok("replace", "id/s", "three")
            tool.ok("upload", "id/a", path, PART)
            check_object(server)
            tool.fails("SL_ECONFLICT", "upload", "id/a", path, PART)
            refused = len(server.log)
            tool.ok("put", "id/t", "four")
            check(len(server.log) - refused <= 2, "it learnt nothing", [r.name for r in server.log[refused:]])


def test_hostile_answers(bin_dir):
    bomb = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;&b;">]><Error><Code>&c;</Code></Error>'
    deep = b"<a>" * 100_000
    huge = b"<Error><Code>" + b"x" * 60_000 + b"</Code></Error>"
    for body in (bomb, deep, huge, b"\xff\xfe\x00", b"<Error><Code>\x1b[31m</Code>"):
        for status in (400, 200):
            with world(bin_dir) as (server, tool, _):
                server.rules.append(lambda r, b=body, s=status: Reply(s, body=b))
                answer = tool.call("list", "")
                check(answer["rc"] not in ("SL_OK", "SL_ENOTFOUND") or (status == 200 and body == huge), answer)
                check(answer["text"].isprintable(), answer["text"])
    with world(bin_dir) as (server, tool, _):
        page = b"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></ListBucketResult>"
        server.rules.append(lambda r: Reply(200, body=page))
        tool.fails("SL_EIO", "list", "", has=("does not end",))
        check(len(server.log) < 5, len(server.log))


# ---- kills and cancels ----

def test_sweep_after_a_kill(bin_dir):
    with world(bin_dir, page_max=2) as (server, tool, path):
        for n in range(5):
            with Tool(bin_dir, PLACE, **server.env) as killed:
                killed.dies("leave", f"id/{n}", path, PART)
        with Tool(bin_dir, PLACE, **server.env) as killed:
            killed.dies("leave", "other/x", path, PART)
        server.uploads["foreign"] = Upload("elsewhere/id/1", {})
        equal(len(server.uploads), 7, "open uploads")
        tool.ok("sweep", "id/")
        equal(sorted(u.key for u in server.uploads.values()), ["elsewhere/id/1", "weekly/other/x"], "what is not ours")
        equal(server.objects, {}, "objects")


def test_random_faults_never_make_a_false_success(bin_dir):
    """Every object that was told to be written is there byte by byte, none that was not is half there."""
    chance = random.Random(20)
    actions = [LOST, CUT, HALF, DAMAGE, Reply(503, "SlowDown"), Reply(500, "InternalError"), lambda _, r: Reply(200, "InternalError")]
    lock = threading.Lock()

    def rule(request):
        with lock:
            if chance.random() > 0.25:
                return None
            action = chance.choice(actions)
        is_complete = request.name == "CompleteMultipartUpload"
        if callable(action) and not is_complete or action in (HALF, DAMAGE) and request.method != "PUT":
            return None
        return action
    with world(bin_dir, env={"SLUICE_STORE_DEADLINE": "2s"}) as (server, tool, path):
        server.rules.append(rule)
        done, failed = set(), 0
        for n in range(60):
            size = chance.choice((10, 70_000, 2 * PART + 5))
            path.write_bytes(DATA[n:n + size])
            answer = tool.call("upload", f"id/{n}", path, PART)
            if answer["rc"] == "SL_OK":
                done.add(n)
                equal(server.objects[f"weekly/id/{n}"].data, DATA[n:n + size], f"object {n}")
            else:
                failed += 1
                check(answer["rc"] in ("SL_EIO", "SL_EBUSY", "SL_ETIMEOUT"), answer)
        for key, found in server.objects.items():
            n = int(key.rpartition("/")[2])
            check(found.data == DATA[n:n + len(found.data)] and len(found.data) in (10, 70_000, 2 * PART + 5), key)
        check(len(done) > 40, "too many failures", failed)
        server.rules.clear()
        tool.ok("sweep", "")
        equal(server.uploads, {}, "uploads left open")


if __name__ == "__main__":
    run(dict(globals()))
