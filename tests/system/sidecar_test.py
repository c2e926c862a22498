"""A node beside a Weaviate server: exports, schema and tenants of its data; nothing written, nothing else served."""

import fcntl
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
import fixtures  # noqa: E402
from fixtures import Scratch, State, fingerprint  # noqa: E402
from node import Node, check, equal, leftovers, run  # noqa: E402
from rows import Export, compare  # noqa: E402

SET = fixtures.SMALL / "states/v1.39.0/tenants"  # tenants of both states, colliding names, a class without tenants
ROUTES = fixtures.REPO / "src/api/router.c"
# Members a newer server adds when it is asked for a class that was stored without them.
FILLED_IN = {"asyncEnabled", "filterStrategy", "indexRangeFilters", "multivector", "rq", "skipDefaultQuantization", "sq",
             "trackDefaultQuantization"}
ATTEMPTS = 20  # at catching an export of 16 files, each of them synced, before it ends


class Beside:
    """A node beside one state of a directory, with the truth about it."""

    def __init__(self, bin_dir, folder=SET, name="clean", **env):
        self.scratch = Scratch()
        self.state = State(folder, name)
        self.source = fixtures.unpack(folder / "data.tar.zst", self.scratch.path, name) / name
        self.before = fingerprint(self.source)
        self.want = self.state.expected()
        self.node = Node(bin_dir, data=self.scratch.path / "own", SLUICE_SOURCE=f"weaviate:{self.source}", **env)

    def hold(self, export_id, classes=None):
        """The export's files equal the truth."""
        done = Export(self.node.folder(export_id))
        want = self.want if classes is None else self.want.only(classes)
        rows, faults = done.rows(), list(done.faults)
        for key in sorted(rows.keys() | want.rows.keys(), key=str):
            faults += compare(rows.get(key, {}), want.rows.get(key, {}), f"{key[0]}/{key[1] or ''}")
        check(not faults, f"{len(faults)} differences: " + "; ".join(faults[:5]))

    def close(self):
        self.node.close()
        equal(fingerprint(self.source), self.before, "the source was touched")
        self.scratch.close()


def fails_to_start(bin_dir, *args, **env):
    env = {"PATH": os.environ["PATH"], "SLUICE_PORT": "0", **{k: str(v) for k, v in env.items()}}
    done = subprocess.run([f"{bin_dir}/sluiced", *map(str, args)], env=env, capture_output=True, text=True, timeout=60)
    check(done.returncode != 0, "sluiced started")
    return done.stderr.splitlines()[-1]


# ---- what it serves ----

def test_exports_equal_the_truth(bin_dir):
    beside = Beside(bin_dir)
    node = beside.node
    code, out, err = node.sluice("create", "all", "--wait", "--json")
    equal(code, 0, err)
    status = node.ok("GET", "/v1/export/filesystem/all")
    equal(status["status"], "SUCCESS", status)
    equal(status["objectsTotal"], sum(len(r) for r in beside.want.rows.values()), "objectsTotal")
    beside.hold("all")
    for class_name, tenants in beside.want.tenants.items():
        for tenant in tenants:
            told = status["shardStatus"][class_name][tenant]["status"]
            equal(told, "SUCCESS" if beside.want.rows.get((class_name, tenant)) else "SKIPPED", f"{class_name} {tenant}")
    equal(node.export("some", include=["Coll_A", "Nope"])["status"], "SUCCESS")
    equal(node.ok("GET", "/v1/export/filesystem/some")["unknownCollections"], ["Nope"])
    beside.hold("some", {"Coll_A"})
    equal([e["id"] for e in node.ok("GET", "/v1/export/filesystem")["exports"]], ["some", "all"])
    code, out, _ = node.sluice("list", "--json")
    equal(code, 0)
    check("some" in out and "all" in out, out)
    equal(node.call("POST", "/v1/export/filesystem", {"id": "all", "file_format": "parquet"})[0], 409)
    beside.close()


def same(got, want, where):
    """The server's answer, less what it fills in."""
    if isinstance(got, dict) and isinstance(want, dict):
        check(want.keys() - got.keys() <= FILLED_IN and got.keys() <= want.keys(), f"{where}: {got} {want}")
        for key, value in got.items():
            same(value, want[key], f"{where}.{key}")
    elif isinstance(got, list) and isinstance(want, list) and len(got) == len(want):
        for pair in zip(got, want):
            same(*pair, where)
    else:
        equal(got, want, where)


def check_schema(beside):
    node, truth = beside.node, beside.state.truth_dir()
    want = {c["class"]: c for c in json.loads(beside.state.files[f"{truth}/schema.json"])["classes"]}
    got = {c["class"]: c for c in node.ok("GET", "/v1/schema")["classes"]}
    equal(got.keys(), want.keys())
    for name, one in want.items():
        same(got[name], one, f"{beside.state} class {name}")
        equal(node.ok("GET", f"/v1/schema/{name}"), got[name], "alone")
        equal(node.ok("GET", f"/v1/schema/{name[0].swapcase()}{name[1:]}"), got[name], "with the other first letter")
    for name, tenants in beside.want.tenants.items():
        listed = node.ok("GET", f"/v1/schema/{name}/tenants")
        equal({t["name"]: t["activityStatus"] for t in listed}, tenants, f"{beside.state} tenants of {name}")
        for tenant, status in tenants.items():
            equal(node.ok("GET", f"/v1/schema/{name}/tenants/{tenant}"), {"name": tenant, "activityStatus": status})
            equal(node.call("HEAD", f"/v1/schema/{name}/tenants/{tenant}")[0], 200)


def test_schema_and_tenants_are_the_servers(bin_dir):
    for folder in fixtures.sets(fixtures.root()):
        if "clean" in fixtures.states(folder):
            beside = Beside(bin_dir, folder)
            check_schema(beside)
            beside.close()


def test_what_does_not_exist(bin_dir):
    beside = Beside(bin_dir)
    node = beside.node
    equal(node.call("GET", "/v1/schema/Nope")[:2], (404, None))
    equal(node.call("GET", "/v1/schema/Coll/tenants/nobody")[:2], (404, None))
    equal(node.call("HEAD", "/v1/schema/Coll/tenants/nobody")[0], 404)
    equal(node.call("GET", "/v1/schema/Single/tenants")[0], 422)
    beside.close()


def test_what_clients_ask_first(bin_dir):
    beside = Beside(bin_dir)
    node = beside.node
    for path in ("live", "ready"):
        equal(node.call("GET", f"/v1/.well-known/{path}")[0], 200, path)
    check("version" in node.ok("GET", "/v1/meta"))
    told = node.ok("GET", "/v1/nodes?output=verbose")["nodes"][0]
    equal((told["name"], told["operationalMode"]), ("node1", "ReadOnly"))
    counts = {(s["class"], s["name"]): s["objectCount"] for s in told["shards"]}
    for class_name, tenants in beside.want.tenants.items():
        awake = {t for t, status in tenants.items() if status == "HOT"}
        equal({t for c, t in counts if c == class_name}, awake, f"open shards of {class_name}")
    for shard in node.ok("GET", "/v1/schema/Single/shards"):
        equal(shard["status"], "READY")
        check(("Single", shard["name"]) in counts, counts)
    beside.close()


def test_everything_else_is_refused(bin_dir):
    beside = Beside(bin_dir)
    rows = re.findall(r'\{"([A-Z]+)", "([^"]+)", (\w+), (\w+),', ROUTES.read_text())
    refused = [(method, path) for method, path, _, foreign in rows if foreign == "NULL"]
    check(len(rows) > 30 and len(refused) > 15, f"{len(refused)} of {len(rows)} routes")
    for method, path in refused:
        target = path.replace("*", "Coll")
        status, reply, _ = beside.node.call(method, target, None if method in ("GET", "HEAD") else [])
        equal(status, 422, f"{method} {target}")
        if method != "HEAD":
            equal(reply["error"][0]["message"],
                  f"this node reads the Weaviate data at {beside.source} and only exports it; send writes and calls on "
                  "objects to the server that owns the data", f"{method} {target}")
    equal(beside.node.call("POST", "/v1/batch/objects", raw=b"{" * 100000)[0], 422, "whatever the body is")
    code, _, err = beside.node.sluice("load", "-", "--collection", "Coll", stdin='{"properties":{"a":1}}\n')
    equal(code, 1)
    check("only exports it" in err, err)
    beside.close()


# ---- an export that does not end by itself ----

def caught(beside, stop):
    """Id of an export that `stop` (given its id) reached while it was running."""
    for attempt in range(ATTEMPTS):
        export_id = f"x{attempt}"
        beside.node.export(export_id, wait=False)
        if stop(export_id):
            return export_id
    raise AssertionError(f"{ATTEMPTS} exports ended before they could be stopped")


def test_cancel(bin_dir):
    beside = Beside(bin_dir, EXPORT_PARALLELISM=1)
    export_id = caught(beside, lambda i: beside.node.sluice("cancel", i)[0] == 0)
    equal(beside.node.ok("GET", f"/v1/export/filesystem/{export_id}")["status"], "CANCELED")
    equal(leftovers(beside.node.data), [], "temporary files")
    equal(beside.node.export("again")["status"], "SUCCESS")
    beside.hold("again")
    beside.close()


def test_kill_during_an_export(bin_dir):
    beside = Beside(bin_dir, EXPORT_PARALLELISM=1)
    node = beside.node

    def kill(export_id):
        node.kill()
        node.start()
        return node.ok("GET", f"/v1/export/filesystem/{export_id}")["status"] == "FAILED"

    export_id = caught(beside, kill)
    status = node.ok("GET", f"/v1/export/filesystem/{export_id}")
    check("interrupted" in status["error"], status)
    listed = {e["id"]: e["status"] for e in node.ok("GET", "/v1/export/filesystem")["exports"]}
    equal(listed[export_id], "FAILED", "in the list")
    equal(leftovers(node.data), [], "temporary files")
    equal(node.export("again")["status"], "SUCCESS", "the slot is free")
    beside.hold("again")
    beside.close()


# ---- data that moves ----

def test_a_directory_may_go_and_come_back(bin_dir):
    beside = Beside(bin_dir)
    node, away = beside.node, beside.source.with_name("away")
    beside.source.rename(away)
    equal(node.call("GET", "/v1/.well-known/ready")[0], 503, "ready")
    equal(node.call("GET", "/v1/.well-known/live")[0], 200, "live")
    body = {"id": "gone", "file_format": "parquet"}
    for method, path in (("GET", "/v1/schema"), ("GET", "/v1/schema/Coll/tenants"), ("GET", "/v1/nodes?output=verbose"),
                         ("POST", "/v1/export/filesystem")):
        status, reply, _ = node.call(method, path, body if method == "POST" else None)
        equal(status, 500, f"{method} {path}: {reply}")
        check(str(beside.source) in reply["error"][0]["message"], reply)
    node.stop()
    node.start()  # a volume may be mounted late
    equal(node.call("GET", "/v1/.well-known/ready")[0], 503, "ready without the directory")
    check(any(str(beside.source) in line and '"warning"' in line for line in node.log), node.log[-5:])
    away.rename(beside.source)
    equal(node.call("GET", "/v1/.well-known/ready")[0], 200, "ready")
    equal(node.export("gone")["status"], "SUCCESS")
    beside.hold("gone")
    beside.close()


def test_a_running_server_may_delete_what_is_being_read(bin_dir):
    beside = Beside(bin_dir, EXPORT_PARALLELISM=1)
    with open(beside.source / "raft/raft.db", "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as the server does
        beside.node.export("live", wait=False)
        for path in beside.source.glob("*/*/lsm/objects"):
            shutil.rmtree(path)
        equal(beside.node.wait("live")["status"], "SUCCESS")
    beside.hold("live")
    beside.before = fingerprint(beside.source)  # what is gone, we deleted
    beside.close()


# ---- settings ----

def test_nothing_of_ours_lies_in_the_data(bin_dir):
    scratch = Scratch()
    source, own = scratch.sub("weaviate"), scratch.sub("own")
    (scratch.path / "link").symlink_to(source)
    for setting, path in (("PERSISTENCE_DATA_PATH", source), ("PERSISTENCE_DATA_PATH", source / "sluice"),
                          ("PERSISTENCE_DATA_PATH", scratch.path / "link/new/sluice"),
                          ("PERSISTENCE_DATA_PATH", scratch.path), ("EXPORT_DEFAULT_PATH", source / "exports"),
                          ("EXPORT_DEFAULT_PATH", scratch.path / "link")):
        env = {"PERSISTENCE_DATA_PATH": own, setting: path}
        told = fails_to_start(bin_dir, "--source", f"weaviate:{source}", **env)
        check(setting in told and str(path) in told and str(source) in told, told)
    equal(list(source.iterdir()), [], "written into the data")
    done = subprocess.run([f"{bin_dir}/sluice", "export", "--source", "weaviate", source, source / "out"],
                          capture_output=True, text=True, timeout=60)
    equal(done.returncode, 1)
    check(str(source / "out") in done.stderr and "may be written" in done.stderr, done.stderr)
    equal(list(source.iterdir()), [], "written into the data")
    scratch.close()


def test_bad_sources_are_told(bin_dir):
    for value in ("weaviate", "weaviate:", "wevaiate:/x", "/var/lib/weaviate"):
        told = fails_to_start(bin_dir, SLUICE_SOURCE=value)
        check("SLUICE_SOURCE" in told and value in told and "weaviate:FOLDER" in told, told)


if __name__ == "__main__":
    run(globals())
