"""Replays calls recorded from the reference server and compares what this node answers.

`tests/data/contract-golden/*.jsonl` holds, a line a call and in order, what an official client sent
to Weaviate 1.39.0, over REST or gRPC, and what came back; lines with `setup` build what the recording
did unseen. Statuses are equal; replies have the same keys, types and values. Requests of gRPC are sent
as the bytes they were; replies are read by the client's own protobuf classes.
Everything that may differ is named in this file, with its reason.
"""

import base64
import json
import pathlib
import random
import re
import sys
import urllib.parse

import grpc
from google.protobuf import json_format
from weaviate.proto.v1 import (aggregate_pb2, batch_delete_pb2, batch_pb2, health_weaviate_pb2, search_get_pb2,
                               tenants_pb2)

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
from node import Failed, Node, check, equal, run  # noqa: E402

DATA = pathlib.Path(__file__).parent.parent / "data" / "contract-golden"
ZERO_TIME = "0001-01-01T00:00:00.000Z"
SHARD = re.compile(r"\b(?=[A-Za-z0-9]*[A-Z0-9])(?=[A-Za-z0-9]*[a-z0-9])[A-Za-z0-9]{12}\b")

# Reply messages of the gRPC methods.
RPC_REPLIES = {
    "Check": health_weaviate_pb2.WeaviateHealthCheckResponse, "TenantsGet": tenants_pb2.TenantsGetReply,
    "BatchObjects": batch_pb2.BatchObjectsReply, "BatchStream": batch_pb2.BatchStreamReply,
    "BatchDelete": batch_delete_pb2.BatchDeleteReply, "Search": search_get_pb2.SearchReply,
    "Aggregate": aggregate_pb2.AggregateReply,
}

# Keys whose values a server makes up: times, host, load of the moment, limits that follow from its memory.
# Their types are compared.
FREE_VALUES = {"creationTimeUnix", "lastUpdateTimeUnix", "startedAt", "completedAt", "tookInMs", "hostname",
               "ratePerSecond", "grpcMaxMessageSize", "apikey", "apiKeyFirstLetters", "createdAt", "took", "creation_time_unix", "last_update_time_unix"}
# Keys only this node has. Live progress of an export; what a selection did not find.
EXTRA_KEYS = {"/v1/export/": {"objectsTotal", "objectsExported", "bytesWritten", "percent", "etaSeconds", "syncMs",
                              "unknownCollections"}}
# Calls the reference answers differently, by design.
OTHER_STATUS = {
    "073-offload": (200, "OFFLOADED needs no module here: the tenant goes to the offload folder"),
    "508-get_unknown_bob": (403, "whether an id exists is not told to those who may not read exports"),
    "509-delete_unknown_bob": (403, "as 508"),
}
# Replies whose content differs, by design: name or path -> keys left out of the comparison.
OTHER_KEYS = {
    "/v1/meta": {"modules"},  # none exist here
    "/v1": {"links"},  # to what this node has
    "195-cluster_nodes_verbose": {"objectCount"},  # the reference counts late, this node exactly
    # Legacy vectors go as vector_bytes; the same floats once more, unpacked, are for clients before 2024.
    "121-fetch_legacy": {"vector"},
}
# Lists the reference returns in the order of a map (properties: auto-schema's, and after a PUT), or as
# its index has them (objects of BatchDelete).
UNORDERED = {"classes", "properties", "shards", "tenants", "vectors", "objects", "permissions", "roles",
             "/v1/authz/roles", "/v1/users/db"}  # the last two: replies that are lists


def outcome(replies):
    """What a stream said, however it was cut into messages."""
    said = {"first": sorted(replies[0]), "acks": [], "errors": [], "successes": []}
    for reply in replies[1:]:
        check(not reply.keys() - {"acks", "results", "backoff"}, reply)
        for what in reply.get("acks", {}).values():
            said["acks"] += what
        for kind, ones in reply.get("results", {}).items():
            said[kind] += ones
    for kind in ("acks", "errors", "successes"):
        said[kind].sort(key=json.dumps)
    return said


class Replay:
    def __init__(self, bin_dir, **env):
        self.node = Node(bin_dir, **env)
        self.keys = {}  # placeholders of the recording -> keys that this node made
        self.paths = [("/data/exports", str(self.node.data / "exports"))]
        self.differences = []
        self.calls = 0
        self.last_export = None

    def lines(self, folder):
        for text in (DATA / f"{folder}.jsonl").read_text("utf-8").rstrip("\n").split("\n"):
            yield json.loads(text)

    def folder(self, name, special=None):
        for line in self.lines(name):
            handler = (special or {}).get(line["name"].split("-")[0])
            (handler or self.step)(line)

    def send(self, line):
        if line["method"] == "POST" and line["path"].startswith("/v1/export/") and line["status"] == 200:
            if self.last_export:  # the recording waited for its end here
                self.node.wait(self.last_export)
            self.last_export = line["body"]["id"]
        raw = line["raw"].encode() if "raw" in line else None
        headers = {"Authorization": self.auth(line)} if "auth" in line else None
        reply = self.node.call(line["method"], line["path"], line.get("body"), headers, raw)
        if isinstance(reply[1], dict) and "apikey" in reply[1]:
            self.keys[line["reply"]["apikey"]] = reply[1]["apikey"]
        return reply

    def auth(self, line):
        text = line["auth"]
        for placeholder, key in self.keys.items():
            text = text.replace(placeholder, key)
        return text

    # ---- gRPC ----

    def call(self, line):
        """(code, details, replies as JSON) of a call, single or a stream."""
        metadata = [("authorization", self.auth(line))] if "auth" in line else None
        message = RPC_REPLIES[line["rpc"].rsplit("/", 1)[1]]
        requests = [base64.b64decode(r) for r in line.get("requests", [line.get("request")])]
        with grpc.insecure_channel(f"127.0.0.1:{self.node.grpc_port}") as channel:
            try:
                if "requests" in line:
                    replies = list(channel.stream_stream(line["rpc"])(iter(requests), timeout=60))
                else:
                    replies = [channel.unary_unary(line["rpc"])(requests[0], timeout=60, metadata=metadata)]
            except grpc.RpcError as error:
                return error.code().name, error.details(), []
        return "OK", "", [json_format.MessageToDict(message.FromString(r), preserving_proto_field_name=True)
                          for r in replies]

    def rpc(self, line):
        self.calls += 1
        code, details, replies = self.call(line)
        if (code, details) != (line["code"], line.get("details", "")):
            self.differ(line, "", f"{code} {details!r}, want {line['code']} {line.get('details')!r}")
        elif "replies" in line:
            self.compare(line, "", outcome(replies), outcome(line["replies"]))
        elif code == "OK":
            self.compare(line, "", self.plain(line, replies[0]), self.plain(line, line["reply"]))

    def step(self, line):
        if "rpc" in line:
            self.rpc(line)
            return
        status, body, headers = self.send(line)
        self.calls += 1
        if line.get("setup"):
            check(status in (200, 204), line["name"], status, body)
            return
        want_status, reason = OTHER_STATUS.get(line["name"], (line["status"], None))
        if status != want_status:
            self.differ(line, "", f"status {status} {body}, want {want_status}")
        elif reason is None:
            self.compare(line, "", self.plain(line, body), self.plain(line, line.get("reply")))
            check("Access-Control-Allow-Origin" in headers, line["name"], headers)

    def differ(self, line, where, what):
        self.differences.append(f"{line['name']}{where}: {what}")

    def text(self, value):
        """A text with what the server made up taken out."""
        for theirs, ours in self.paths:
            value = value.replace(ours, theirs)
        # The reference names a collection of the export, the first of a map; this node none to those who may
        # read none of it.
        value = re.sub(r"(Domain: backups,Collection: )[^]]+", r"\1NAME", value)
        value = re.sub(r"auto-schema feature on .*", "auto-schema feature on DATE", value)
        return SHARD.sub("SHARD", value) if "shard" in value.lower() else value

    def plain(self, line, value, key=None):
        """A reply with names of shards and paths made equal and unordered lists sorted."""
        path = line.get("path", "")
        if isinstance(value, str):
            if key == "name" and ("/v1/nodes" in path or path.endswith("/shards")):
                return SHARD.sub("SHARD", value)
            return self.text(value)
        if isinstance(value, dict):
            left_out = OTHER_KEYS.get(line["name"], OTHER_KEYS.get(path.split("?")[0], set()))
            if key == "shardStatus":
                return {c: {SHARD.sub("SHARD", s): self.plain(line, v) for s, v in shards.items()}
                        for c, shards in value.items()}
            return {k: self.plain(line, v, k) for k, v in value.items() if k not in left_out}
        if isinstance(value, list):
            made = [self.plain(line, v, key) for v in value]
            key = path.split("?")[0] if key is None else key
            return sorted(made, key=lambda v: json.dumps(v, sort_keys=True)) if key in UNORDERED else made
        return value

    def compare(self, line, where, got, want, key=None):
        if isinstance(want, dict) and isinstance(got, dict):
            extra = next((keys for prefix, keys in EXTRA_KEYS.items() if line.get("path", "").startswith(prefix)), set())
            for k in want.keys() | got.keys():
                at = f"{where}.{k}"
                if k not in got:
                    # A time that is not there yet is left out instead of being the year 1.
                    if not (k == "completedAt" and want[k] == ZERO_TIME):
                        self.differ(line, at, f"missing, want {want[k]!r}")
                elif k not in want:
                    if k not in extra:
                        self.differ(line, at, f"not in the recording: {got[k]!r}")
                else:
                    self.compare(line, at, got[k], want[k], k)
        elif isinstance(want, list) and isinstance(got, list):
            if len(got) != len(want):
                self.differ(line, where, f"{len(got)} elements {got!r}, want {want!r}")
            else:
                for n, (g, w) in enumerate(zip(got, want)):
                    self.compare(line, f"{where}[{n}]", g, w, key)
        elif isinstance(want, bool) != isinstance(got, bool) or \
                not (isinstance(got, type(want)) or isinstance(want, (int, float)) and isinstance(got, (int, float))):
            self.differ(line, where, f"{got!r}, want {want!r}")
        elif got != want and key not in FREE_VALUES:
            self.differ(line, where, f"{got!r}, want {want!r}")

    def end(self):
        self.node.close()
        if self.differences:
            raise Failed(f"{len(self.differences)} differences in {self.calls} calls:\n  " +
                         "\n  ".join(self.differences))
        print(f"     {self.calls} calls")

    # ---- exports: the reference polls every second, so a state is waited for, not a moment ----

    def status(self, line):
        """A GET of a running export: waits for the state of the recording when that is an end."""
        want = line["reply"]["status"]
        if want == "TRANSFERRING":
            status, body, _ = self.send(line)
            self.calls += 1
            equal(status, 200, line["name"])
            # It may have ended already: the recording's export was slowed down.
            check(body["status"] in ("TRANSFERRING", "SUCCESS", "FAILED"), line["name"], body)
            equal(sorted(body["classes"]), sorted(line["reply"]["classes"]), line["name"])
            equal(sorted(body["shardStatus"]), sorted(line["reply"]["shardStatus"]), line["name"])
            return
        export_id = urllib.parse.unquote(line["path"].rsplit("/", 1)[1])
        self.node.wait(export_id)
        if want != "FAILED":
            self.step(line)
            return
        status, body, _ = self.send(line)
        self.calls += 1
        equal((status, body["status"]), (200, "FAILED"), line["name"])
        # The cause is a text of this program; its beginning is the reference's. The end has a time
        # at once, in the recording only from the second poll on.
        check(body["error"].startswith("node node1 failed: failed to export class Big shard "), line["name"], body)
        check("completedAt" in body and body["completedAt"] != ZERO_TIME, line["name"], body)
        equal([s["status"] for s in body["shardStatus"]["Big"].values()], ["FAILED"], line["name"])
        equal(sorted(body["shardStatus"]), sorted(line["reply"]["shardStatus"]), line["name"])

    def big(self):
        """The collection of the recording whose export takes long enough to be seen running."""
        self.node.create_class("Big")
        noise = random.Random(1)
        for batch in range(25):
            objects = [{"class": "Big", "id": f"{batch * 40 + n:08x}-0000-4000-8000-000000000000",
                        "properties": {"text": noise.randbytes(100_000).hex()}, "vector": [1, 2]} for n in range(40)]
            self.node.ok("POST", "/v1/batch/objects", {"objects": objects})

    def fail(self, line):
        """The recording's way to make an export fail: a folder stands where its file should go."""
        shard = self.node.ok("GET", "/v1/schema/Big/shards")[0]["name"]
        (self.node.folder(line["body"]["id"]) / f"Big_{shard}_0000.parquet").mkdir(parents=True)
        self.step(line)


def test_every_recorded_call_is_answered_alike(bin_dir):
    replay = Replay(bin_dir)
    for folder in ("01-connect", "02-collections", "03-tenants", "04-objects", "05-batch", "06-read"):
        replay.folder(folder)

    def running(line):
        if not running.is_made:
            replay.big()
            running.is_made = True
        replay.step(line)

    running.is_made = False
    handlers = {n: replay.status for n in ("302", "303", "306", "307", "309", "311", "312", "327", "328", "330", "332",
                                           "334", "340", "341", "344", "345", "347", "348")}
    handlers.update({"331": running, "339": replay.fail, "343": replay.fail})
    replay.folder("07-export", handlers)
    replay.end()


def test_every_recorded_call_with_keys_and_roles(bin_dir):
    replay = Replay(bin_dir, AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED="false", AUTHENTICATION_APIKEY_ENABLED="true",
                    AUTHENTICATION_APIKEY_ALLOWED_KEYS="root-key,bob-key,view-key,part-key,adm-key",
                    AUTHENTICATION_APIKEY_USERS="root-user,bob,viewer-user,part,adm",
                    AUTHENTICATION_DB_USERS_ENABLED="true", AUTHORIZATION_RBAC_ENABLED="true",
                    AUTHORIZATION_RBAC_ROOT_USERS="root-user", SLUICE_API_KEY="root-key")
    for folder in ("08-auth", "09-rbac"):
        replay.folder(folder)

    def ended(line):
        replay.node.wait(urllib.parse.unquote(line["path"].rsplit("/", 1)[1]))
        replay.step(line)

    replay.folder("10-export-rbac", {n: ended for n in ("496", "497", "500", "501", "506", "507")})
    replay.end()


run(dict(globals()))
