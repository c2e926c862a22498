"""Replays calls recorded from the reference server and compares what this node answers.

`tests/data/contract-golden/*.jsonl` holds, a line a call and in order, what an official client sent
to Weaviate 1.39.0 and what came back; lines with `setup` stand for calls of the recording that were
not REST and only build the state. Statuses are equal; replies have the same keys, types and values.
Everything that may differ is named in this file, with its reason.
"""

import json
import pathlib
import random
import re
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
from node import Failed, Node, check, equal, run  # noqa: E402

DATA = pathlib.Path(__file__).parent.parent / "data" / "contract-golden"
ZERO_TIME = "0001-01-01T00:00:00.000Z"
SHARD = re.compile(r"\b(?=[A-Za-z0-9]*[A-Z])(?=[A-Za-z0-9]*[a-z0-9])[A-Za-z0-9]{12}\b")

# Keys whose values a server makes up: times, host, load of the moment. Their types are compared.
FREE_VALUES = {"creationTimeUnix", "lastUpdateTimeUnix", "startedAt", "completedAt", "tookInMs", "hostname",
               "ratePerSecond"}
# Keys only this node has. Live progress of an export; what a selection did not find.
EXTRA_KEYS = {"/v1/export/": {"objectsTotal", "objectsExported", "bytesWritten", "percent", "etaSeconds", "syncMs",
                              "unknownCollections"}}
# Calls the reference answers differently, by design.
OTHER_STATUS = {"073-offload": (200, "OFFLOADED needs no module here: the tenant goes to the offload folder")}
# Replies whose content differs, by design: name -> keys left out of the comparison.
OTHER_KEYS = {
    "002-connect-2": {"modules"}, "007-get_meta": {"modules"},  # no modules exist here
    "195-cluster_nodes_verbose": {"objectCount"},  # the reference counts late, this node exactly
}
# Lists the reference returns in the order of a map (properties: auto-schema's, and after a PUT).
UNORDERED = {"classes", "properties", "shards"}


class Replay:
    def __init__(self, bin_dir):
        self.node = Node(bin_dir)
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
        return self.node.call(line["method"], line["path"], line.get("body"))

    def step(self, line):
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
        value = re.sub(r"auto-schema feature on .*", "auto-schema feature on DATE", value)
        return SHARD.sub("SHARD", value) if "shard" in value.lower() else value

    def plain(self, line, value, key=None):
        """A reply with names of shards and paths made equal and unordered lists sorted."""
        if isinstance(value, str):
            if key == "name" and "/v1/nodes" in line["path"] or key == "name" and line["path"].endswith("/shards"):
                return SHARD.sub("SHARD", value)
            return self.text(value)
        if isinstance(value, dict):
            left_out = OTHER_KEYS.get(line["name"], set())
            if key == "shardStatus":
                return {c: {SHARD.sub("SHARD", s): self.plain(line, v) for s, v in shards.items()}
                        for c, shards in value.items()}
            return {k: self.plain(line, v, k) for k, v in value.items() if k not in left_out}
        if isinstance(value, list):
            made = [self.plain(line, v, key) for v in value]
            return sorted(made, key=lambda v: json.dumps(v, sort_keys=True)) if key in UNORDERED else made
        return value

    def compare(self, line, where, got, want, key=None):
        if isinstance(want, dict) and isinstance(got, dict):
            extra = next((keys for prefix, keys in EXTRA_KEYS.items() if line["path"].startswith(prefix)), set())
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
    replay.node.close()
    if replay.differences:
        raise Failed(f"{len(replay.differences)} differences in {replay.calls} calls:\n  " +
                     "\n  ".join(replay.differences))
    print(f"     {replay.calls} calls")


run(dict(globals()))
