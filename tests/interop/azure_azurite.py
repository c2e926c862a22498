"""The Azure driver against Azurite: the backend suite with key, SAS and token; objects read by Microsoft's library.

Tokens come from an instance metadata service of ours, over TLS, as Azurite asks for.
"""

import hashlib
import json
import os
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from azure_server import AzureServer, Reply  # noqa: E402
from backend_tool import Tool, run_suite  # noqa: E402
from node import check, equal, run  # noqa: E402
from stores import BUCKET, azurite  # noqa: E402

MIB = 1 << 20


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_suite_with_the_account_key(bin_dir):
    with azurite() as server:
        run_suite(bin_dir, server)


def test_suite_with_a_sas(bin_dir):
    with azurite() as server:
        run_suite(bin_dir, server, server.sas_env(read=True, write=True, create=True, list=True, delete=True))


def test_suite_with_a_managed_identity(bin_dir):
    with azurite(is_tls=True) as server, AzureServer("token") as metadata:
        answer = json.dumps({"access_token": server.token(), "expires_in": "3600", "token_type": "Bearer"}).encode()
        metadata.identity_reply = lambda _: Reply(200, body=answer)
        run_suite(bin_dir, server, {**server.env_of(), "AZURE_POD_IDENTITY_AUTHORITY_HOST": metadata.url})
        check(metadata.token_calls, "no token was asked for")


def test_microsofts_library_reads_what_we_wrote(bin_dir):
    with azurite() as server, tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
        path = pathlib.Path(folder, "object")
        with Tool(bin_dir, f"az://{BUCKET}/weekly", **server.env) as tool:
            for size in (0, 1, 5000, 262_144, 262_145, 3 * MIB, 20 * MIB + 7):
                path.write_bytes(random.Random(size).randbytes(size))
                tool.ok("upload", f"id/{size}", path, MIB)
                blob = server.client().get_blob_client(f"weekly/id/{size}")
                equal(sha256(blob.download_blob(validate_content=size > 0).readall()), sha256(path.read_bytes()), size)
                equal(blob.get_blob_properties().content_settings.content_type, "application/octet-stream", "type")
            blob = server.client().get_blob_client("weekly/id/small")
            tool.ok("put", "id/small", "text")
            equal(blob.download_blob().readall(), b"text", "put")
            equal(bytes(blob.get_blob_properties().content_settings.content_md5), hashlib.md5(b"text").digest(), "MD5")
        equal(server.open_uploads(), [], "uploads left open")


def test_we_read_what_microsofts_library_wrote(bin_dir):
    data = random.Random(5).randbytes(9 * MIB)
    with azurite() as server:
        blob = server.client().get_blob_client("weekly/id/theirs")
        blob.upload_blob(data, max_concurrency=2, length=len(data))
        with Tool(bin_dir, f"az://{BUCKET}/weekly", **server.env) as tool:
            equal(tool.ok("get", "id/theirs", len(data))["sha256"], sha256(data), "whole")
            for offset, size in ((0, 100), (4 * MIB - 3, 4 * MIB), (MIB, 5 * MIB), (len(data) - 1, 10)):
                equal(tool.ok("read", "id/theirs", offset, size)["sha256"], sha256(data[offset:offset + size]), offset)
            tool.fails("SL_ECONFLICT", "put", "id/theirs", "x")


def test_deleting_is_optional(bin_dir):
    """read, create, write and list are enough for an export; what a cancel leaves, nobody sees."""
    with azurite() as server, tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
        path = pathlib.Path(folder, "object")
        path.write_bytes(random.Random(3).randbytes(3 * MIB))
        env = server.sas_env(read=True, write=True, create=True, list=True)
        with Tool(bin_dir, f"az://{BUCKET}/weekly", **env) as tool:
            tool.ok("probe")
            tool.ok("put", "id/a", "one")
            tool.ok("replace", "id/a", "two")
            tool.ok("upload", "id/b", path, MIB)
            tool.ok("abandon", "id/c", path, MIB)
            tool.ok("sweep", "id/")
            equal(tool.ok("list", "")["listed"], [["id/a", 3], ["id/b", 3 * MIB]], "objects")
            tool.fails("SL_EACCESS", "remove", "id/a")
        equal(server.open_uploads(), ["weekly/id/c"], "what is left")
        with Tool(bin_dir, f"az://{BUCKET}/weekly", **server.env) as tool:
            tool.ok("sweep", "id/")
        equal(server.open_uploads(), [], "after a sweep with the right to delete")


def test_refusals_of_the_emulator(bin_dir):
    with azurite() as server:
        with Tool(bin_dir, "az://nosuch/weekly", **server.env) as tool:
            tool.fails("SL_EINVAL", "probe", has=("az://nosuch", "does not exist"))
        with Tool(bin_dir, f"az://{BUCKET}/weekly", **server.env_of(";AccountKey=YW5vdGhlciBrZXk=")) as tool:
            told = tool.fails("SL_EACCESS", "probe", has=(f"az://{BUCKET}",))
            check("YW5vdGhlciBrZXk=" not in told, told)
        env = server.sas_env(list=True)
        with Tool(bin_dir, f"az://{BUCKET}/weekly", **env) as tool:
            tool.ok("probe")
            told = tool.fails("SL_EACCESS", "put", "id/a", "one", has=("sp=rcwl",))
            check("sig=" not in told, told)


if __name__ == "__main__":
    run(dict(globals()))
