"""The Azure driver against a strict server that plays faults: what the emulator does not check or cannot do.

Every test judges by what the server holds and saw, and by the sentences; `faults` of the server (a wrong header,
a second signature, a token over http, ...) must stay empty.
"""

import base64
import contextlib
import hashlib
import os
import pathlib
import random
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import azure_server as azure  # noqa: E402
from azure_server import ACCOUNT, CONTAINER, CUT, DAMAGE, HALF, LOST, STALL, AzureServer, Blob, Reply, first  # noqa: E402
from backend_tool import Tool  # noqa: E402
from node import check, equal, run  # noqa: E402

PLACE = f"az://{CONTAINER}/weekly"
PART = 300_000  # above what is kept for a single Put Blob
SIZE = 1_000_000  # four parts


@contextlib.contextmanager
def world(bin_dir, auth="key", is_tls=False, place=PLACE, env=None, **settings):
    """(server, tool, file of SIZE bytes)"""
    with AzureServer(auth, is_tls) as server, tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
        for name, value in settings.items():
            setattr(server, name, value)
        path = pathlib.Path(folder, "object")
        path.write_bytes(random.Random(7).randbytes(SIZE))
        with Tool(bin_dir, place, **{**server.env, **(env or {})}) as tool:
            yield server, tool, path
        equal(server.faults, [], "what the requests did wrong")


def is_whole(server, name, path):
    equal(hashlib.sha256(server.blobs[f"weekly/{name}"].data).hexdigest(),
          hashlib.sha256(path.read_bytes()).hexdigest(), f"bytes of {name}")


# ---- the plain way ----

def test_objects_with_key_sas_and_token(bin_dir):
    for auth, is_tls in (("key", False), ("sas", False), ("token", True), ("key", True)):
        with world(bin_dir, auth, is_tls) as (server, tool, path):
            tool.ok("probe")
            equal([r.method for r in server.log if "metadata" not in r.path], ["GET"], "the probe only reads")
            tool.ok("put", "id/a", "one")
            tool.fails("SL_ECONFLICT", "put", "id/a", "two", has=("id/a", "exists already"))
            tool.ok("replace", "id/a", "three")
            equal(server.blobs["weekly/id/a"].data, b"three", "replaced")
            tool.ok("upload", "id/b", path, PART)
            is_whole(server, "id/b", path)
            equal(tool.ok("list", "")["listed"], [["id/a", 5], ["id/b", SIZE]], auth)
            equal(tool.ok("folders", "")["listed"], [["id", 0]], auth)
            got = tool.ok("read", "id/b", 299_990, 20)
            equal(got["sha256"], hashlib.sha256(path.read_bytes()[299_990:300_010]).hexdigest(), "a range")
            equal(tool.ok("read", "id/b", SIZE - 5, 20)["size"], 5, "a range over the end")
            equal(tool.ok("read", "id/b", SIZE, 20)["size"], 0, "a range behind the end")
            tool.ok("remove", "id/a")
            tool.ok("remove", "id/a")


def test_a_small_object_is_one_request(bin_dir):
    with world(bin_dir) as (server, tool, path):
        path.write_bytes(b"small")
        tool.ok("upload", "id/b", path, PART)
        is_whole(server, "id/b", path)
        equal([r.name for r in server.log], ["Get Blob Properties", "Put Blob"], "requests")


def test_blocks_are_named_by_their_upload(bin_dir):
    """Two uploads of one name: their blocks do not mix, and the first list wins."""
    with world(bin_dir) as (server, tool, path):
        other = path.with_name("other")
        other.write_bytes(random.Random(8).randbytes(SIZE))
        arrived = threading.Event()

        def meet(request):
            if request.name == "Put Block List" and not arrived.is_set():
                arrived.set()
                with Tool(bin_dir, PLACE, **server.env) as second:
                    second.ok("upload", "id/b", other, PART)
            return None
        server.rules.append(meet)
        tool.fails("SL_ECONFLICT", "upload", "id/b", path, PART, has=("id/b", "exists already"))
        is_whole(server, "id/b", other)
        equal(server.uncommitted, {}, "blocks left")


# ---- faults of the network and of the service ----

def storm(*actions):
    """The n-th try of each different request gets the n-th action, then it passes."""
    tries, lock = {}, threading.Lock()

    def rule(request):
        key = (request.name, request.target)
        with lock:
            tries[key] = tries.get(key, 0) + 1
            return actions[tries[key] - 1] if tries[key] <= len(actions) else None
    return rule


def test_storms_and_broken_connections(bin_dir):
    for action in (Reply(503, "ServerBusy"), Reply(500, "InternalError"), Reply(429), Reply(502, body=b"<html>"),
                   Reply(500, "OperationTimedOut"), CUT, HALF):
        with world(bin_dir) as (server, tool, path):
            server.rules.append(storm(action))
            tool.ok("upload", "id/b", path, PART)
            is_whole(server, "id/b", path)
            tool.ok("put", "id/a", "one")
            equal(tool.ok("get", "id/a", 100)["size"], 3, "get")
            equal(len(tool.ok("list", "")["listed"]), 2, "list")


def test_lost_answers(bin_dir):
    """What was done is found out; nothing is taken for another's, nothing is written twice."""
    for count in (1, 2):
        with world(bin_dir) as (server, tool, path):
            server.rules.append(storm(*[LOST] * count))
            tool.ok("put", "id/a", "one")
            equal(server.blobs["weekly/id/a"].data, b"one", "Put Blob")
            tool.ok("upload", "id/b", path, PART)
            is_whole(server, "id/b", path)
            tool.ok("remove", "id/a")
            check("weekly/id/a" not in server.blobs, "removal")


def test_a_lost_answer_does_not_hide_anothers_object(bin_dir):
    with world(bin_dir) as (server, tool, path):
        def steal(request, _):
            server.blobs[request.blob] = Blob(b"theirs", [], server.now())
            return Reply(503, "ServerBusy")
        server.rules.append(first(1, "Put Blob", steal))
        tool.fails("SL_ECONFLICT", "put", "id/a", "ours", has=("id/a",))
        server.rules.append(first(1, "Put Block List", steal))
        tool.fails("SL_ECONFLICT", "upload", "id/b", path, PART, has=("id/b",))
        equal(server.blobs["weekly/id/b"].data, b"theirs", "their object")
        equal(server.count("Delete Blob"), 0, "removals")


def test_bytes_damaged_on_the_way_there(bin_dir):
    with world(bin_dir) as (server, tool, path):
        server.rules += [first(2, "Put Block", DAMAGE), first(1, "Put Blob", DAMAGE)]
        tool.ok("upload", "id/b", path, PART)
        is_whole(server, "id/b", path)
        tool.ok("put", "id/a", "one")
        equal(server.blobs["weekly/id/a"].data, b"one", "put")


def test_answers_damaged_on_the_way_are_asked_for_again(bin_dir):
    """Twice; a blob that is damaged where it lies is told, not asked for until the deadline."""
    def damage(_, reply):
        reply.body = bytes([reply.body[0] ^ 1]) + reply.body[1:]
        return reply
    with world(bin_dir) as (server, tool, _):
        tool.ok("put", "id/a", "small")
        server.rules.append(first(2, "Get Blob", damage))
        equal(tool.ok("get", "id/a", 99)["sha256"], hashlib.sha256(b"small").hexdigest(), "read again")
        before = server.count("Get Blob")
        server.rules[:] = [lambda r: damage if r.name == "Get Blob" else None]
        tool.fails("SL_EIO", "get", "id/a", 99, has=("id/a", "MD5", "tried 3 times"))
        equal(server.count("Get Blob") - before, 3, "tries")


def test_a_wrong_checksum_in_the_answer_is_no_success(bin_dir):
    def lie(_, reply):
        reply.headers["x-ms-content-crc64"] = azure.crc64(b"other")
        return reply
    with world(bin_dir) as (server, tool, path):
        server.rules.append(first(1, "Put Block", lie))
        tool.ok("upload", "id/b", path, PART)
        is_whole(server, "id/b", path)
        equal(server.count("Put Block"), 5, "blocks sent")
        server.rules.append(lambda r: lie if r.name == "Put Block" else None)
    with world(bin_dir, env={"SLUICE_STORE_DEADLINE": "1s"}) as (server, tool, path):
        server.rules.append(lambda r: lie if r.name == "Put Block" else None)
        tool.fails("SL_EIO", "upload", "id/b", path, PART, has=("other bytes",))
        equal(server.blobs, {}, "objects")


def test_bytes_damaged_on_the_way_back(bin_dir):
    def damage(_, reply):
        reply.body = bytes([reply.body[0] ^ 1]) + reply.body[1:]
        return reply
    with world(bin_dir) as (server, tool, _):
        tool.ok("put", "id/a", "one")
        server.rules.append(first(2, "Get Blob", damage))
        equal(tool.ok("get", "id/a", 100)["sha256"], hashlib.sha256(b"one").hexdigest(), "get")
        server.rules.append(first(1, "Get Blob", damage))
        equal(tool.ok("read", "id/a", 1, 2)["sha256"], hashlib.sha256(b"ne").hexdigest(), "read")


def test_a_list_that_the_service_took_otherwise_is_no_success(bin_dir):
    """The answer to Put Block List is good, but what lies there is not what was sent."""
    def cut_short(request, reply):
        blob = server.blobs[request.blob]
        blob.blocks = blob.blocks[:-1]
        return reply
    with world(bin_dir) as (server, tool, path):
        server.rules.append(first(1, "Put Block List", cut_short))
        tool.fails("SL_ECONFLICT", "upload", "id/b", path, PART, has=("other bytes",))


def test_blocks_that_vanish_are_told(bin_dir):
    def forget(request):
        if request.name == "Put Block List":
            server.uncommitted.clear()
    with world(bin_dir) as (server, tool, path):
        server.rules.append(forget)
        tool.fails("SL_EIO", "upload", "id/b", path, PART, has=("id/b", "lost blocks"))
        equal(server.blobs, {}, "objects")


def test_retry_after_is_waited_for(bin_dir):
    with world(bin_dir) as (server, tool, _):
        server.rules.append(first(1, "Put Blob", Reply(503, "ServerBusy", retry_after="2")))
        tool.ok("put", "id/a", "one")
        tries = [r.at for r in server.log if r.name == "Put Blob"]
        equal(len(tries), 2, "tries")
        check(tries[1] - tries[0] >= 1.9, f"tried again after {tries[1] - tries[0]:.1f} s")


def test_an_outage_within_the_deadline(bin_dir):
    with world(bin_dir) as (server, tool, path):
        server.rules.append(first(12, "Put Block", CUT))
        tool.ok("upload", "id/b", path, PART)
        is_whole(server, "id/b", path)


def test_an_outage_beyond_the_deadline_is_told(bin_dir):
    with world(bin_dir, env={"SLUICE_STORE_DEADLINE": "1s"}) as (server, tool, path):
        server.rules.append(lambda r: Reply(503, "ServerBusy") if r.method == "PUT" else None)
        tool.fails("SL_EBUSY", "upload", "id/b", path, PART, has=("busy", "id/b"))
        equal(server.blobs, {}, "objects")


def test_a_stalled_exchange_is_begun_again(bin_dir):
    with world(bin_dir, env={"SLUICE_STORE_STALL": "500ms"}) as (server, tool, path):
        server.rules.append(first(2, "Put Block", STALL))
        tool.ok("upload", "id/b", path, PART)
        is_whole(server, "id/b", path)


def test_redirects_are_not_followed(bin_dir):
    with world(bin_dir) as (server, tool, _):
        server.rules.append(lambda r: Reply(307, location=server.url + r.target))
        tool.fails("SL_EIO", "put", "id/a", "one", has=("sends us elsewhere", "307"))
        equal(len(server.log), 1, "requests")


def test_random_faults_give_no_false_success(bin_dir):
    dice, lock = random.Random(11), threading.Lock()
    actions = [None] * 6 + [LOST, CUT, HALF, Reply(503, "ServerBusy"), Reply(500), DAMAGE]

    def rule(request):
        with lock:
            action = dice.choice(actions)
        is_damage = action == DAMAGE and request.name not in ("Put Blob", "Put Block")
        return None if is_damage else action
    with world(bin_dir, env={"SLUICE_STORE_DEADLINE": "8s"}) as (server, tool, path):
        path.write_bytes(path.read_bytes()[:PART * 3 - 7])
        server.rules.append(rule)
        good = 0
        for no in range(25):
            answer = tool.call("upload", f"id/{no}", path, PART)
            if answer["rc"] == "SL_OK":
                is_whole(server, f"id/{no}", path)
                good += 1
        check(good >= 15, f"only {good} of 25 uploads ended well")


# ---- what is told ----

def test_what_is_missing_is_said_before_data_moves(bin_dir):
    rows = [(Reply(404, "ContainerNotFound"), "SL_EINVAL", ("az://backups", "container does not exist", "create it")),
            (Reply(403, "AuthorizationFailure"), "SL_EACCESS", ("firewall",)),
            (Reply(403, "AuthorizationPermissionMismatch"), "SL_EACCESS", ("list of az://backups",)),
            (Reply(403, "AccountIsDisabled"), "SL_EACCESS", ("disabled",)),
            (Reply(403, "KeyBasedAuthenticationNotPermitted"), "SL_EACCESS", ("workload identity",)),
            (Reply(403, body=b"<html>proxy</html>"), "SL_EACCESS", ("acct1",))]
    for reply, rc, words in rows:
        with world(bin_dir) as (server, tool, _):
            server.rules.append(lambda _, reply=reply: reply)
            tool.fails(rc, "probe", has=words)
            equal(len(server.log), 1, "tries")


def test_wrong_credentials_are_told_without_them(bin_dir):
    wrong = base64.b64encode(b"another key, 32 bytes long ......").decode()
    with AzureServer("key") as server:
        text = f"AccountName={ACCOUNT};BlobEndpoint={server.url}/{ACCOUNT};AccountKey={wrong}"
        with Tool(bin_dir, PLACE, AZURE_STORAGE_CONNECTION_STRING=text) as tool:
            told = tool.fails("SL_EACCESS", "probe", has=("AZURE_STORAGE_CONNECTION_STRING", "key1 or key2"))
            check(wrong not in told, told)
    for sas, words in (("sv=1&se=2020-01-01T00%3A00%3A00Z&sig=SEKRET", ("expired at 2020-01-01T00:00:00Z", "new one")),
                       ("sv=1&se=2090-01-01T00%3A00%3A00Z&sig=SEKRET", ("copied whole",))):
        with AzureServer("sas") as server:
            text = f"AccountName={ACCOUNT};BlobEndpoint={server.url}/{ACCOUNT};SharedAccessSignature={sas}"
            with Tool(bin_dir, PLACE, AZURE_STORAGE_CONNECTION_STRING=text) as tool:
                told = tool.fails("SL_EACCESS", "probe", has=words)
                check("SEKRET" not in told and "sig=" not in told, told)


def test_a_wrong_clock_is_told(bin_dir):
    with world(bin_dir, skew=3600) as (_, tool, _path):
        tool.fails("SL_EACCESS", "probe", has=("clock of this machine", "behind"))
    with world(bin_dir, skew=-3600) as (_, tool, _path):
        tool.fails("SL_EACCESS", "probe", has=("clock of this machine", "ahead of"))


def test_an_account_that_is_not_there_is_told_soon(bin_dir):
    env = {"AZURE_STORAGE_CONNECTION_STRING": "AccountName=nosuch;BlobEndpoint=http://nosuch.invalid;AccountKey=YQ=="}
    with Tool(bin_dir, PLACE, **env) as tool:
        tool.fails("SL_EIO", "probe", has=("account nosuch cannot be reached", "AZURE_STORAGE_CONNECTION_STRING"))
    sas = "AccountName=nosuch;BlobEndpoint=http://nosuch.invalid;SharedAccessSignature=sv=1&sig=SEKRET"
    with Tool(bin_dir, PLACE, AZURE_STORAGE_CONNECTION_STRING=sas) as tool:
        check("SEKRET" not in tool.fails("SL_EIO", "probe"), "the SAS is told")


def test_other_refusals_have_sentences(bin_dir):
    with world(bin_dir) as (server, tool, path):
        server.uncommitted["weekly/id/b"] = {base64.b64encode(b"rclone").decode(): b"x"}
        tool.fails("SL_ECONFLICT", "upload", "id/b", path, PART, has=("another program", "unfinished upload"))
        server.rules.append(first(1, "Put Blob", Reply(409, "BlobImmutableDueToPolicy")))
        tool.fails("SL_EACCESS", "replace", "id/a", "one", has=("policy", "id/a"))
        server.rules.append(first(1, "Get Blob", Reply(409, "BlobArchived")))
        tool.fails("SL_EACCESS", "get", "id/a", 10, has=("rehydrate",))


# ---- clearing away ----

def test_cancel_leaves_nothing(bin_dir):
    with world(bin_dir) as (server, tool, path):
        tool.ok("abandon", "id/b", path, PART)
        equal((server.blobs, server.uncommitted), ({}, {}), "what is left")


def test_cancel_without_the_right_to_delete(bin_dir):
    with world(bin_dir, may_delete=False) as (server, tool, path):
        tool.ok("abandon", "id/b", path, PART)
        equal(tool.ok("list", "")["listed"], [], "what is seen")
        equal(list(server.uncommitted), ["weekly/id/b"], "what is left")
        server.rules.append(lambda r: Reply(500) if r.name == "Put Block List" else None)


def test_a_failed_upload_clears_away(bin_dir):
    with world(bin_dir, env={"SLUICE_STORE_DEADLINE": "1s"}) as (server, tool, path):
        server.rules.append(lambda r: Reply(500) if r.name == "Put Block List" else None)
        tool.fails("SL_EIO", "upload", "id/b", path, PART)
        equal((server.blobs, server.uncommitted), ({}, {}), "what is left")


def test_cancel_spares_what_another_wrote_meanwhile(bin_dir):
    """Between the look and the removal another upload ends; the condition of the removal saves it."""
    def commit(request, reply):
        server.blobs[request.blob] = Blob(b"theirs", [], server.now())
        return reply
    with world(bin_dir) as (server, tool, path):
        server.rules.append(first(1, "Get Block List", commit))
        tool.ok("abandon", "id/b", path, PART)
        equal(server.count("Delete Blob"), 1, "removals tried")
        equal(server.blobs["weekly/id/b"].data, b"theirs", "their object")


def test_cancel_spares_anothers_blocks(bin_dir):
    with world(bin_dir) as (server, tool, path):
        theirs = base64.b64encode(b"x" * 30).decode()
        server.uncommitted["weekly/id/b"] = {theirs: b"theirs"}
        tool.ok("abandon", "id/b", path, PART)
        check(theirs in server.uncommitted["weekly/id/b"], "their block is gone")
        equal(server.count("Delete Blob"), 0, "removals")


def test_sweep_after_a_kill(bin_dir):
    with world(bin_dir) as (server, tool, path):
        server.blobs["weekly/id/empty"] = Blob(b"", [], 0)
        server.blobs["weekly/id/a"] = Blob(b"one", [], 0)
        server.uncommitted["weekly/other/b"] = {base64.b64encode(b"sluice-" + b"0" * 23).decode(): b"x"}
        server.uncommitted["weekly/id/c"] = {base64.b64encode(b"rclone").decode(): b"x"}
        with Tool(bin_dir, PLACE, **server.env) as killed:
            killed.dies("leave", "id/b", path, PART)
        check("weekly/id/b" in server.uncommitted, "nothing was left to sweep")
        tool.ok("sweep", "id/")
        equal(sorted(server.uncommitted), ["weekly/id/c", "weekly/other/b"], "uploads left")
        equal(sorted(server.blobs), ["weekly/id/a", "weekly/id/empty"], "objects")


# ---- listings ----

def test_listings_have_pages(bin_dir):
    with world(bin_dir, page_max=3) as (server, tool, _):
        names = sorted(f"f{n % 4}/{n:02d} &<ü" for n in range(20))
        for name in names:
            server.blobs[f"weekly/{name}"] = Blob(b"12", [], 0)
        server.blobs["weekly2/no"] = server.blobs["other"] = Blob(b"12", [], 0)
        equal(tool.ok("list", "")["listed"], [[n, 2] for n in names], "all")
        equal(tool.ok("list", "f1/")["listed"], [[n, 2] for n in names if n.startswith("f1/")], "below f1")
        equal(tool.ok("folders", "")["listed"], [[f"f{n}", 0] for n in range(4)], "folders")
        check(server.count("List Blobs") >= 7 + 2 + 2, f"{server.count('List Blobs')} pages")


def test_folders_of_a_hierarchical_namespace_are_no_objects(bin_dir):
    with world(bin_dir) as (server, tool, _):
        server.blobs["weekly/id"] = Blob(b"", [], 0, is_folder=True)
        server.blobs["weekly/id/a"] = Blob(b"one", [], 0)
        equal(tool.ok("list", "")["listed"], [["id/a", 3]], "objects")


def test_hostile_listings_are_refused(bin_dir):
    bomb = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;">]><EnumerationResults>&c;'
    deep = b'<?xml version="1.0"?>' + b"<a>" * 100_000
    blob = b"<EnumerationResults><Blobs><Blob><Name>weekly/a</Name><Properties><Content-Length>-1</Content-Length>"
    for body in (bomb, deep, blob, b"", b"\x00\xff", b"<html>", b"<a>" + b"x" * 100_000 + b"</a>"):
        with world(bin_dir) as (server, tool, _):
            server.rules.append(lambda _, body=body: Reply(200, body=body))
            answer = tool.call("list", "")
            check(answer["rc"] in ("SL_EBADREQ", "SL_EIO", "SL_ETOOBIG"), body[:40], answer)


def test_a_listing_without_end_ends(bin_dir):
    with world(bin_dir) as (server, tool, _):
        server.rules.append(lambda _: Reply(200, body=b"<EnumerationResults><NextMarker>again</NextMarker>"
                                                      b"</EnumerationResults>"))
        tool.fails("SL_EIO", "list", "", has=("does not end",))
        check(len(server.log) < 10, f"{len(server.log)} pages")


# ---- tokens ----

def test_one_token_serves_all_and_is_renewed_when_refused(bin_dir):
    with world(bin_dir, "token", True) as (server, tool, path):
        tool.ok("upload", "id/a", path, PART)
        equal(len(server.token_calls), 1, "tokens asked for")
        call = server.token_calls[0]
        equal((call.path, call.headers["metadata"]), ("/metadata/identity/oauth2/token", "true"), "IMDS")
        equal(call.query, {"api-version": "2018-02-01", "resource": azure.RESOURCE}, "IMDS")
        server.tokens.append(("revoked", 0))
        tool.ok("upload", "id/b", path, PART)
        is_whole(server, "id/b", path)
        equal(len(server.token_calls), 2, "tokens asked for")


def test_a_token_that_is_refused_again_ends_it(bin_dir):
    with world(bin_dir, "token", True) as (server, tool, _):
        server.rules.append(lambda r: Reply(401, "InvalidAuthenticationInfo") if "metadata" not in r.path else None)
        tool.fails("SL_EACCESS", "probe", has=("managed identity", "not accepted"))
        equal(len(server.token_calls), 2, "one refresh for the refusal")


def test_tokens_are_renewed_before_they_end(bin_dir):
    with world(bin_dir, "token", True, token_life=2) as (server, tool, _):
        refused = []

        def watch(_, reply):
            if reply.status == 401:
                refused.append(1)
            return reply
        server.rules.append(lambda r: watch if "metadata" not in r.path else None)
        until = time.monotonic() + 30
        while len(server.token_calls) < 3 and time.monotonic() < until:
            tool.ok("probe")
        check(len(server.token_calls) >= 3, "no renewal")
        equal(refused, [], "requests with an ended token")


def test_user_assigned_and_app_service_identities(bin_dir):
    env = {"AZURE_CLIENT_ID": "client 1"}
    with world(bin_dir, "token", True, env=env) as (server, tool, _):
        tool.ok("probe")
        equal(server.token_calls[0].query["client_id"], "client 1", "client_id")
    with AzureServer("token", True) as server:
        env = {"IDENTITY_ENDPOINT": f"{server.url}/msi/token", "IDENTITY_HEADER": "proof", "AZURE_CLIENT_ID": "c"}
        with Tool(bin_dir, PLACE, **server.env, **env) as tool:
            tool.ok("probe")
        call = server.token_calls[0]
        equal((call.path, call.headers["x-identity-header"]), ("/msi/token", "proof"), "App Service")
        equal(call.query, {"api-version": "2019-08-01", "resource": azure.RESOURCE, "client_id": "c"}, "App Service")
        equal(server.faults, [], "faults")


def workload(server, folder):
    token = pathlib.Path(folder, "token")
    token.write_text("federated.one\n")
    return token, {**server.env, "AZURE_TENANT_ID": "tenant/1", "AZURE_CLIENT_ID": "client&1",
                   "AZURE_FEDERATED_TOKEN_FILE": token, "AZURE_AUTHORITY_HOST": server.url + "/"}


def test_workload_identity(bin_dir):
    import urllib.parse
    with AzureServer("token", True) as server, tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
        token, env = workload(server, folder)
        with Tool(bin_dir, PLACE, **env) as tool:
            tool.ok("put", "id/a", "one")
            token.write_text("federated.two\n")
            server.tokens.append(("revoked", 0))
            tool.ok("put", "id/b", "two")
        calls = server.token_calls
        equal([c.target for c in calls], ["/tenant%2F1/oauth2/v2.0/token"] * 2, "the authority is asked")
        form = dict(urllib.parse.parse_qsl(calls[0].body.decode()))
        equal(form, {"client_id": "client&1", "grant_type": "client_credentials",
                     "scope": "https://storage.azure.com/.default", "client_assertion": "federated.one",
                     "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "form")
        check(b"federated.two" in calls[1].body, "the file is read again")
        equal(server.faults, [], "faults")


def test_identities_that_do_not_work_are_told(bin_dir):
    import json
    with AzureServer("token", True) as server, tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
        token, env = workload(server, folder)
        body = json.dumps({"error": "unauthorized_client",
                           "error_description": "AADSTS700016: Application SEKRET was not found."}).encode()
        server.identity_reply = lambda _: Reply(400, body=body)
        with Tool(bin_dir, PLACE, **env) as tool:
            told = tool.fails("SL_EACCESS", "probe", has=("AADSTS700016", "AZURE_CLIENT_ID", "unauthorized_client"))
            check("SEKRET" not in told and "federated.one" not in told, told)
            equal(len(server.token_calls), 1, "tries")
            token.unlink()
            tool.fails("SL_ENOTFOUND", "probe", has=("AZURE_FEDERATED_TOKEN_FILE", str(token)))
        server.identity_reply = lambda _: Reply(200, body=b'{"access_token": 5, "expires_in": "soon"}')
        with Tool(bin_dir, PLACE, **server.env) as tool:
            tool.fails("SL_EACCESS", "probe", has=("managed identity", "no valid access_token"))
        server.identity_reply = lambda _: Reply(400, body=b'{"error": "invalid_request"}')
        with Tool(bin_dir, PLACE, **server.env) as tool:
            tool.fails("SL_EACCESS", "probe", has=("give the machine an identity", "invalid_request"))


def test_no_credential_at_all_is_told_soon(bin_dir):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens there
        env = {"AZURE_STORAGE_ACCOUNT": "acct1",
               "AZURE_POD_IDENTITY_AUTHORITY_HOST": f"http://127.0.0.1:{closed.getsockname()[1]}"}
        with Tool(bin_dir, PLACE, **env) as tool:
            tool.fails("SL_EACCESS", "probe", has=("no credential for Azure account acct1", "AZURE_STORAGE_KEY",
                                                   "AZURE_STORAGE_CONNECTION_STRING"))


if __name__ == "__main__":
    run(dict(globals()))
