"""The S3 driver against versitygw and SeaweedFS: the backend suite; objects read and written by Amazon's own library;
keys of a token service that checks its tokens; TLS. tests/slow/radosgw.py asks some of it of Ceph."""

import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import random
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import stores  # noqa: E402
from backend_tool import Tool, run_suite  # noqa: E402
from jose import Key  # noqa: E402
from node import check, equal, run  # noqa: E402
from stores import BUCKET  # noqa: E402

MIB = 1 << 20
PART = 5 * MIB
# What SeaweedFS does otherwise: it lists a folder where its name without the slash would stand, and folders whose
# objects were removed.
SEAWEED_DIFFERS = {"list_goes_in_byte_order_of_whole_keys", "folder_without_objects_is_not_listed"}


@contextlib.contextmanager
def token_issuer():
    """(URL, function from claims to a token): an issuer of tokens whose keys anybody may fetch."""
    key = Key("RSA", kid="k1")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # pylint: disable=invalid-name
            body = json.dumps({"keys": [key.jwk(use="sig", alg="RS256")]} if self.path == "/jwks" else
                              {"issuer": url, "jwks_uri": url + "/jwks"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):  # pylint: disable=arguments-differ
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    now = int(time.time())
    try:
        yield url, lambda **claims: key.token({"iss": url, "iat": now, "exp": now + 3600, **claims})
    finally:
        server.shutdown()
        server.server_close()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@contextlib.contextmanager
def world(store):
    with store as server, tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
        yield server, pathlib.Path(folder, "object")


def test_suite_over_versitygw(bin_dir):
    with stores.versitygw() as store:
        run_suite(bin_dir, store)


def test_uploads_over_tls(bin_dir):
    """Bodies of parts are not hashed then: their checksum vouches for them."""
    with world(stores.versitygw(is_tls=True)) as (store, path):
        path.write_bytes(random.Random(1).randbytes(11 * MIB))
        with Tool(bin_dir, f"{store.place}/tls", **store.env) as tool:
            tool.ok("probe")
            tool.ok("upload", "id/a", path, PART)
            equal(tool.ok("get", "id/a", 12 * MIB)["sha256"], sha256(path.read_bytes()), "read back")


def test_suite_over_seaweedfs(bin_dir):
    with stores.seaweedfs() as store:
        run_suite(bin_dir, store, differs=SEAWEED_DIFFERS)


def amazons_library_reads_what_we_wrote(bin_dir, store, keeps_checksums):
    """Of objects below "weekly/id", which is empty at first. keeps_checksums: does the store, and tags?"""
    client = store.client()
    with tempfile.TemporaryDirectory(prefix="sluice-test-") as folder, \
            Tool(bin_dir, f"{store.place}/weekly", SLUICE_S3_TAGS="kind=export&of=us", **store.env) as tool:
        path = pathlib.Path(folder, "object")
        tool.ok("probe")
        for size in (0, 1, MIB, MIB + 1, PART, 3 * PART + 7):
            path.write_bytes(random.Random(size).randbytes(size))
            tool.ok("upload", f"id/{size}", path, PART)
            # boto3 compares the checksum the store keeps with the bytes that it reads.
            got = client.get_object(Bucket=BUCKET, Key=f"weekly/id/{size}", ChecksumMode="ENABLED")
            equal(sha256(got["Body"].read()), sha256(path.read_bytes()), size)
            equal(got["ContentType"], "application/octet-stream", "type")
            equal(len(got["Metadata"]["sluice-write"]), 32, "mark of the write")
            parts = -(-size // PART) if size > MIB else 0
            has_parts = got["ETag"].strip('"').endswith(f"-{parts}") if parts else "-" not in got["ETag"]
            check(has_parts, f"{size}: ETag {got['ETag']}")
            if parts == 0:
                equal(got["ETag"].strip('"'), hashlib.md5(path.read_bytes()).hexdigest(), "ETag")
            if keeps_checksums:
                check(got.get("ChecksumCRC32C", "").endswith(f"-{parts}" if parts else "=="), got)
                tags = client.get_object_tagging(Bucket=BUCKET, Key=f"weekly/id/{size}")["TagSet"]
                equal({t["Key"]: t["Value"] for t in tags}, {"kind": "export", "of": "us"}, "tags")
    equal(store.open_uploads(), [], "uploads left open")


def we_read_what_amazons_library_wrote(bin_dir, store):
    data = random.Random(5).randbytes(9 * MIB)
    store.client().put_object(Bucket=BUCKET, Key="weekly/id/theirs", Body=data, ChecksumAlgorithm="CRC32C")
    with Tool(bin_dir, f"{store.place}/weekly", **store.env) as tool:
        equal(tool.ok("get", "id/theirs", len(data))["sha256"], sha256(data), "whole")
        for offset, size in ((0, 100), (4 * MIB - 3, 4 * MIB), (len(data) - 1, 10)):
            equal(tool.ok("read", "id/theirs", offset, size)["sha256"], sha256(data[offset:offset + size]), offset)
        tool.fails("SL_ECONFLICT", "put", "id/theirs", "x")
        tool.fails("SL_ECONFLICT", "upload", "id/theirs", __file__, PART)


def a_sweep_clears_what_a_kill_left(bin_dir, store):
    before = store.objects()
    with tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
        path = pathlib.Path(folder, "object")
        path.write_bytes(random.Random(3).randbytes(2 * PART + 5))
        for key in ("left/a", "left/b", "other/c"):
            with Tool(bin_dir, f"{store.place}/weekly", **store.env) as tool:
                tool.dies("leave", key, path, PART)
    equal(sorted(store.open_uploads()), ["weekly/left/a", "weekly/left/b", "weekly/other/c"], "after the kill")
    with Tool(bin_dir, f"{store.place}/weekly", **store.env) as tool:
        tool.ok("sweep", "left/")
        equal(store.open_uploads(), ["weekly/other/c"], "after the sweep")
        tool.ok("sweep", "")
    equal(store.open_uploads(), [], "at the end")
    check(store.objects() == before, "objects came or went")


def listings_go_over_pages(bin_dir, store):
    """1,300 objects, 1,100 of them in folders of their own: answers end after 1,000 keys or folders."""
    client = store.client()
    names = [f"a+{n} ü" for n in range(200)] + [f"f{n}/x & y" for n in range(1100)]
    for name in names:
        client.put_object(Bucket=BUCKET, Key=f"pages/{name}", Body=b"1")
    with Tool(bin_dir, f"{store.place}/pages", **store.env) as tool:
        for order, want in (("list", [[n, 1] for n in sorted(names, key=str.encode)]),
                            ("folders", [[f"f{n}", 0] for n in sorted(range(1100), key=str)])):
            got = tool.ok(order, "")["listed"]
            check(got == want, f"{order}: {len(got)} of {len(want)}, from {got[:2]} to {got[-2:]}")


def refusals_say_what_is_wrong(bin_dir, store):
    for env, place, rc, words in (
            ({"AWS_SECRET_ACCESS_KEY": "wrong"}, None, "SL_EACCESS", ("secret of AWS_ACCESS_KEY_ID",)),
            ({"AWS_ACCESS_KEY_ID": "AKOTHER"}, None, "SL_EACCESS", ("key id of AWS_ACCESS_KEY_ID",)),
            ({}, "s3://nosuchbucket/x", "SL_EINVAL", ("nosuchbucket", "does not exist"))):
        with Tool(bin_dir, place or f"{store.place}/weekly", **{**store.env, **env}) as tool:
            told = tool.fails(rc, "probe", has=words)
            check("wrong" not in told and stores.SECRET not in told, told)


def test_amazons_library_reads_what_we_wrote(bin_dir):
    for start in (stores.versitygw, stores.seaweedfs):
        with start() as store:
            amazons_library_reads_what_we_wrote(bin_dir, store, start is stores.versitygw)


def test_we_read_what_amazons_library_wrote(bin_dir):
    with stores.versitygw() as store:
        we_read_what_amazons_library_wrote(bin_dir, store)


def test_sweep_after_a_kill(bin_dir):
    for start in (stores.versitygw, stores.seaweedfs):
        with start() as store:
            a_sweep_clears_what_a_kill_left(bin_dir, store)


def test_listings_go_over_pages(bin_dir):
    with stores.versitygw() as store:
        listings_go_over_pages(bin_dir, store)


def test_refusals_of_real_servers(bin_dir):
    for start in (stores.versitygw, stores.seaweedfs):
        with start() as store:
            refusals_say_what_is_wrong(bin_dir, store)


def test_a_bucket_with_object_lock(bin_dir):
    """Objects are kept by the bucket's rule; records are replaced by new versions."""
    with world(stores.seaweedfs()) as (store, path):
        client = store.client()
        client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
        rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
        client.put_object_lock_configuration(Bucket="locked", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled",
                                                                                     "Rule": rule})
        path.write_bytes(random.Random(4).randbytes(2 * PART + 5))
        with Tool(bin_dir, "s3://locked/weekly", **store.env) as tool:
            tool.ok("put", "id/a", "one")
            tool.ok("replace", "id/a", "two")
            tool.ok("upload", "id/b", path, PART)
            equal(tool.ok("get", "id/a", 9)["sha256"], sha256(b"two"), "record")
        for key in ("weekly/id/a", "weekly/id/b"):
            kept = client.get_object_retention(Bucket="locked", Key=key)["Retention"]
            equal(kept["Mode"], "GOVERNANCE", key)


def test_a_token_service_that_checks(bin_dir):
    """Keys for a web identity whose token is verified; a token for others or of yesterday is refused, and told."""
    with token_issuer() as (issuer, make), world(stores.seaweedfs(issuer, life="20s")) as (store, path):
        token = path.parent / "token"
        env = {k: v for k, v in store.env.items() if not k.startswith("AWS_") or k == "AWS_REGION"}
        env |= {"AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ROLE_ARN": "arn:aws:iam::role/R1", "AWS_ENDPOINT_URL_STS": store.url}
        token.write_text(make(sub="pod", aud="sts"))
        path.write_bytes(random.Random(9).randbytes(2 * PART + 5))
        with Tool(bin_dir, f"{store.place}/weekly", **env) as tool:
            tool.ok("probe")
            tool.ok("upload", "id/a", path, PART)
            equal(sha256(store.objects()["weekly/id/a"]), sha256(path.read_bytes()), "object")
        for claims in ({"aud": "somebody else"}, {"aud": "sts", "exp": 1}):
            token.write_text(make(sub="pod", **claims))
            with Tool(bin_dir, f"{store.place}/weekly", **env) as tool:
                told = tool.fails("SL_EACCESS", "probe", has=("AWS_ROLE_ARN", "AssumeRoleWithWebIdentity"))
                check(token.read_text() not in told, told)


if __name__ == "__main__":
    run(dict(globals()))
