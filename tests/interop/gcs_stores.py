"""The Google Cloud Storage driver: the backend suite over two emulators, objects read back by Google's own library,
and a strict server that plays breaks, lost answers, lost bytes and tokens."""

import hashlib
import json
import os
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import stores  # noqa: E402
from backend_tool import Tool, run_suite  # noqa: E402
from gcs_server import CUT, DAMAGE, HALF, LOST, SHORT, GcsServer  # noqa: E402
from jose import openssl  # noqa: E402
from node import check, equal, run  # noqa: E402

MIB = 1 << 20
# gcp-storage-emulator ignores ifGenerationMatch; it is here because it resumes.
EMULATOR_DIFFERS = {"put_new_never_replaces_and_put_replace_does", "second_of_two_uploads_of_a_key_gets_a_conflict",
                    "stream_refuses_a_key_that_exists"}


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_suite_over_fake_gcs_server(bin_dir):
    with stores.fake_gcs() as store:
        run_suite(bin_dir, store)


def test_suite_over_gcp_storage_emulator(bin_dir):
    with stores.gcp_emulator() as store:
        run_suite(bin_dir, store, differs=EMULATOR_DIFFERS)


def test_googles_library_reads_what_we_wrote(bin_dir):
    with stores.fake_gcs() as store, tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
        path, client = pathlib.Path(folder, "object"), store.client()
        with Tool(bin_dir, f"{store.place}/weekly", **store.env) as tool:
            tool.ok("probe")
            for size in (0, 1, 256 * 1024, MIB, 3 * MIB, 3 * MIB + 77):
                path.write_bytes(random.Random(size).randbytes(size))
                tool.ok("upload", f"id/{size}", path, MIB)
                blob = client.bucket(stores.BUCKET).get_blob(f"weekly/id/{size}")
                # Google's library compares the checksum the store keeps with the bytes that it reads.
                equal(sha256(blob.download_as_bytes(checksum="crc32c")), sha256(path.read_bytes()), size)
                equal((blob.size, len(blob.metadata["sluice"])), (size, 32))
            client.bucket(stores.BUCKET).blob("weekly/id/theirs").upload_from_string(b"x" * 300_000)
            equal(tool.ok("get", "id/theirs", MIB)["sha256"], sha256(b"x" * 300_000))
            equal(tool.ok("read", "id/theirs", 299_990, 100)["size"], 10)
            tool.fails("SL_ECONFLICT", "upload", "id/theirs", path, MIB)


def test_sentences_before_data_moves(bin_dir):
    with stores.fake_gcs() as store:
        with Tool(bin_dir, "gs://nothere/x", **store.env) as tool:
            tool.fails("SL_EINVAL", "probe", has=("no such bucket", "gs://nothere"))
    env = {"STORAGE_EMULATOR_HOST": "127.0.0.1:9", "BACKUP_GCS_USE_AUTH": "false", "SLUICE_STORE_DEADLINE": "1s"}
    with Tool(bin_dir, "gs://bucket/x", **env) as tool:
        tool.fails("SL_EIO", "probe", has=("gs://bucket", "storage.objects.list"))
    with Tool(bin_dir, "gs://bucket/x", GCE_METADATA_HOST="127.0.0.1:9", STORAGE_EMULATOR_HOST="127.0.0.1:9") as tool:
        tool.fails("SL_EACCESS", "probe", has=("GOOGLE_APPLICATION_CREDENTIALS", "127.0.0.1:9"))
    with Tool(bin_dir, "gs://bucket/x", GOOGLE_APPLICATION_CREDENTIALS="/nowhere.json") as tool:
        tool.fails("SL_ENOTFOUND", "probe", has=("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json"))


class Account:
    """A service account's file, and a check of its claims by the openssl program."""

    def __init__(self, folder):
        self.folder, self.seen = pathlib.Path(folder), []
        self.private, self.public = self.folder / "key.pem", self.folder / "public.pem"
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(self.private))
        openssl("pkey", "-in", str(self.private), "-pubout", "-out", str(self.public))
        self.file = self.folder / "account.json"

    def write(self, url, **more):
        self.file.write_text(json.dumps({
            "type": "service_account", "client_email": "export@project.example", "private_key_id": "k1",
            "private_key": self.private.read_text(), "token_uri": f"{url}/token", **more}))
        return {"GOOGLE_APPLICATION_CREDENTIALS": str(self.file), "STORAGE_EMULATOR_HOST": url,
                "SLUICE_STORE_DEADLINE": "20s"}

    def verify(self, token):
        import base64
        head, body, signature = token.split(".")
        decode = lambda t: base64.urlsafe_b64decode(t + "=" * (-len(t) % 4))  # noqa: E731
        equal(json.loads(decode(head)), {"alg": "RS256", "typ": "JWT", "kid": "k1"})
        signed, proof = self.folder / "signed", self.folder / "proof"
        signed.write_text(f"{head}.{body}")
        proof.write_bytes(decode(signature))
        openssl("dgst", "-sha256", "-verify", str(self.public), "-signature", str(proof), str(signed))
        claims = json.loads(decode(body))
        equal((claims["iss"], claims["exp"] - claims["iat"]), ("export@project.example", 3600))
        check("devstorage.read_write" in claims["scope"] and claims["aud"].endswith("/token"), claims)
        self.seen.append(claims)


def world(bin_dir, test, size=3 * MIB + 5, **more):
    """test(server, tool, path): a strict server, a tool with a service account, a file of `size` bytes."""
    with tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
        account, path = Account(folder), pathlib.Path(folder, "object")
        path.write_bytes(random.Random(size).randbytes(size))
        with GcsServer(account.verify) as server:
            with Tool(bin_dir, "gs://bucket/pre", **account.write(server.url), **more) as tool:
                test(server, tool, path)
            equal(server.faults, [], "what the driver did wrong")
            check(account.seen, "no claim was signed")


def nth(server, order, wanted, number=1):
    """From now on the number-th request that `wanted` names is treated so."""
    left = [number]

    def rule(method, path, args, headers):
        if wanted(method, path, headers.get("Content-Range")):
            left[0] -= 1
            return order if left[0] == 0 else None
        return None
    server.rules.append(rule)


def is_chunk(method, path, span):
    return method == "PUT" and path.startswith("/session/") and "*/" not in span


def is_last(method, path, span):
    return is_chunk(method, path, span) and not span.endswith("/*")


def is_begin(method, path, span):
    return method == "POST" and path.startswith("/upload/")


def uploads(bin_dir, *orders):
    """Each order in a world of its own: the object is whole in the end."""
    for order, wanted, number in orders:
        def test(server, tool, path):
            nth(server, order, wanted, number)
            tool.ok("upload", "id/a", path, MIB)
            equal(sha256(server.objects["pre/id/a"][0]), sha256(path.read_bytes()), f"{order} {wanted.__name__}")
            equal(list(server.objects), ["pre/id/a"])
        world(bin_dir, test)


def test_uploads_go_on_after_breaks(bin_dir):
    uploads(bin_dir, (CUT, is_chunk, 1), (CUT, is_chunk, 2), (CUT, is_last, 1), (LOST, is_chunk, 2), (LOST, is_last, 1),
            (HALF, is_chunk, 1), (HALF, is_chunk, 3), ((503, "backendError"), is_chunk, 2),
            ((429, "rateLimitExceeded"), is_begin, 1), ((500, "backendError"), is_last, 1), (CUT, is_begin, 1),
            ((403, "userRateLimitExceeded"), is_begin, 1))


def test_a_small_object_whose_answer_is_lost_is_ours(bin_dir):
    def test(server, tool, path):
        nth(server, LOST, is_begin)
        tool.ok("upload", "id/a", path, MIB)
        equal(sha256(server.objects["pre/id/a"][0]), sha256(path.read_bytes()))
        nth(server, LOST, is_begin)
        tool.ok("put", "id/b", "text")
        tool.fails("SL_ECONFLICT", "put", "id/b", "text")
    world(bin_dir, test, size=1000)


def test_a_session_that_is_gone_is_a_failure(bin_dir):
    def test(server, tool, path):
        nth(server, (410, "gone"), is_chunk, 2)
        tool.fails("SL_ENOTFOUND", "upload", "id/a", path, MIB)
        equal(server.objects, {})
        equal(server.sessions, {}, "sessions left open")
    world(bin_dir, test)


def test_an_object_that_appears_meanwhile_is_not_replaced(bin_dir):
    def test(server, tool, path):
        def appear(method, path, args, headers):
            if is_last(method, path, headers.get("Content-Range") or "*/"):
                server.objects["pre/id/a"] = b"theirs", {}
        server.rules.append(appear)
        tool.fails("SL_ECONFLICT", "upload", "id/a", path, MIB, has=("exists already",))
        equal(server.objects["pre/id/a"][0], b"theirs")
    world(bin_dir, test)


def test_abandoned_uploads_leave_no_session(bin_dir):
    def test(server, tool, path):
        tool.ok("abandon", "id/a", path, MIB)
        equal((server.objects, server.sessions), ({}, {}))
    world(bin_dir, test)


def test_bytes_damaged_on_the_way_are_no_success(bin_dir):
    def test(server, tool, path):
        def damage(method, where, args, headers):
            for session in server.sessions.values():
                if len(session.kept) > 100:
                    session.kept[100] ^= 1
        server.rules.append(damage)
        tool.fails("SL_ECORRUPT", "upload", "id/a", path, MIB, has=("not what was sent",))
    world(bin_dir, test)


def test_answers_damaged_on_the_way_are_asked_for_again(bin_dir):
    """Twice; an object that is damaged where it lies is told, not asked for until the deadline."""
    def test(server, tool, path):
        def gets():
            return sum(method == "GET" and args.get("alt") == "media" for method, _, args, _ in server.seen)
        tool.ok("upload", "id/a", path, MIB)
        data, left = path.read_bytes(), [0, None]

        def rule(method, _, args, headers):
            if method == "GET" and args.get("alt") == "media" and left[0] > 0:
                left[0] -= 1
                return left[1]
            return None
        server.rules.append(rule)
        for order, call, want in ((DAMAGE, ("get", "id/a", 4 * MIB), data), (SHORT, ("read", "id/a", 0, 999), data[:999]),
                                  (SHORT, ("read", "id/a", 77, 999), data[77:1076])):
            before, left[:] = gets(), (2, order)
            equal(tool.ok(*call)["sha256"], sha256(want), f"{order} {call}")
            equal(gets() - before, 3, f"{order} {call}: requests")
            before, left[:] = gets(), (99, order)
            tool.fails("SL_EIO", *call, has=("read of id/a", "tried 3 times"))
            equal(gets() - before, 3, f"{order} {call}: requests")
    world(bin_dir, test)


def test_listings_have_pages_and_folders(bin_dir):
    def test(server, tool, _):
        for n in range(8):
            tool.ok("put", f"id/{n}", "x")
        tool.ok("put", "other/sub/1", "x")
        equal([e[0] for e in tool.ok("list", "")["listed"]], [f"id/{n}" for n in range(8)] + ["other/sub/1"])
        equal([e[0] for e in tool.ok("folders", "")["listed"]], ["id", "other"])
    world(bin_dir, test)


def test_tokens_are_renewed_once_they_are_refused(bin_dir):
    def test(server, tool, path):
        tool.ok("probe")
        server.tokens.clear()  # withdrawn before their time
        tool.ok("upload", "id/a", path, MIB)
        equal(sum(p == "/token" for _, p, _, _ in server.seen), 2, "tokens asked for")
        server.verify = None  # the account is disabled
        server.tokens.clear()
        tool.fails("SL_EACCESS", "upload", "id/b", path, MIB, has=("invalid_grant", "account.json"))
    world(bin_dir, test)


def test_other_accounts(bin_dir):
    with tempfile.TemporaryDirectory(prefix="sluice-test-") as folder, GcsServer() as server:
        file, subject = pathlib.Path(folder, "account.json"), pathlib.Path(folder, "subject")
        env = {"GOOGLE_APPLICATION_CREDENTIALS": str(file), "STORAGE_EMULATOR_HOST": server.url}
        file.write_text(json.dumps({"type": "authorized_user", "client_id": "id", "client_secret": "hidden-secret",
                                    "refresh_token": "refresh", "token_uri": f"{server.url}/token"}))
        with Tool(bin_dir, "gs://bucket/pre", **env) as tool:
            tool.ok("probe")
        file.write_text(json.dumps({"type": "authorized_user", "client_id": "id", "client_secret": "hidden-secret",
                                    "refresh_token": "wrong", "token_uri": f"{server.url}/token"}))
        with Tool(bin_dir, "gs://bucket/pre", **env) as tool:
            text = tool.fails("SL_EACCESS", "probe", has=("invalid_grant", str(file)))
            check("hidden-secret" not in text and "wrong" not in text, text)
        asked = []

        def exchange(form):
            asked.append(form)
            server.tokens["federated"] = 1 << 40
            return 200, {"access_token": "federated", "expires_in": 600}, {}
        server.give_token = exchange
        subject.write_text(json.dumps({"id_token": "of the workload"}))
        file.write_text(json.dumps({
            "type": "external_account", "audience": "//iam.example/pool", "token_url": f"{server.url}/token",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "credential_source": {"file": str(subject), "format": {"type": "json", "subject_token_field_name": "id_token"}}}))
        with Tool(bin_dir, "gs://bucket/pre", **env) as tool:
            tool.ok("probe")
        equal((asked[0]["subject_token"], asked[0]["audience"]), ("of the workload", "//iam.example/pool"))


run(dict(globals()))
