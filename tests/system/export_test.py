"""Exports as a user meets them: instant, states, tenants, collisions, cancel, kill, disk full."""

import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
import duckdb  # noqa: E402
from node import Failed, Node, check, equal, leftovers, run, sanitizer_env  # noqa: E402


MARKS = ["_SUCCESS", "_manifest.json", "_schema.json"]


def marks(node, export_id):
    return sorted(p.name for p in node.folder(export_id).glob("_*"))


def rows(node, export_id, pattern="*"):
    return duckdb.sql(f"select * from read_parquet('{node.folder(export_id)}/{pattern}.parquet')").fetchall()


def test_everything_before_the_post_and_nothing_after_the_200(bin_dir):
    node = Node(bin_dir)
    node.create_class("A")
    node.create_class("B", tenants=["t1"])
    acknowledged, stop = [], threading.Event()

    def write(worker):
        n = 0
        while not stop.is_set():
            target = ("A", None) if (n + worker) % 2 else ("B", "t1")
            ids = node.insert(*target[:1], 20, tenant=target[1], first=1_000_000 * (worker + 1) + n * 20)
            acknowledged.append((clock(), ids))
            n += 1

    tick = [0]
    lock = threading.Lock()

    def clock():
        with lock:
            tick[0] += 1
            return tick[0]

    node.insert("A", 20000)
    threads = [threading.Thread(target=write, args=(w,)) for w in range(3)]
    for t in threads:
        t.start()
    while len(acknowledged) < 10:
        pass
    before = clock()
    node.export("now", wait=False)
    after = clock()
    late = node.insert("A", 50, first=900_000) + node.insert("B", 50, tenant="t1", first=900_000)
    stop.set()
    for t in threads:
        t.join()
    status = node.wait("now")
    equal(status["status"], "SUCCESS", status)
    got = {r[0] for r in rows(node, "now")}
    must = {i for at, ids in acknowledged if at < before for i in ids}
    check(must <= got, f"{len(must - got)} objects acknowledged before the POST are missing")
    check(not set(late) & got, f"{len(set(late) & got)} objects written after the 200 are in the export")
    equal(len(got), status["objectsTotal"], "rows and objectsTotal")
    check(after > before)
    node.close()


def test_tenants_of_every_state(bin_dir):
    node = Node(bin_dir)
    node.create_class("Ten", tenants=["hot", "cold", "away", "empty"])
    node.ok("POST", "/v1/schema/Ten/tenants", [{"name": "born", "activityStatus": "COLD"}])
    for tenant in ("hot", "cold", "away"):
        node.insert("Ten", 30, tenant=tenant)
    node.ok("PUT", "/v1/schema/Ten/tenants", [{"name": "cold", "activityStatus": "COLD"},
                                              {"name": "away", "activityStatus": "OFFLOADED"}])
    while node.ok("GET", "/v1/schema/Ten/tenants/away")["activityStatus"] == "FREEZING":
        pass
    status = node.export("x")
    shards = status["shardStatus"]["Ten"]
    equal(status["status"], "SUCCESS")
    equal(shards["hot"], {"objectsExported": 30, "status": "SUCCESS"})
    equal(shards["cold"], {"objectsExported": 30, "status": "SUCCESS"})
    equal(shards["away"], {"skipReason": "tenant status is FROZEN", "status": "SKIPPED"})
    equal(shards["empty"], {"skipReason": "no data", "status": "SKIPPED"})
    equal(shards["born"], {"skipReason": "tenant has no data on disk", "status": "SKIPPED"})
    equal(node.ok("GET", "/v1/schema/Ten/tenants/cold")["activityStatus"], "COLD", "cold after the export")
    equal(sorted(p.name for p in node.folder("x").glob("*.parquet")), ["Ten_cold_0000.parquet", "Ten_hot_0000.parquet"])
    # OFFLOADED comes back whole.
    node.ok("PUT", "/v1/schema/Ten/tenants", [{"name": "away", "activityStatus": "ACTIVE"}])
    while node.ok("GET", "/v1/schema/Ten/tenants/away")["activityStatus"] == "UNFREEZING":
        pass
    equal(node.export("y", include=["Ten"])["shardStatus"]["Ten"]["away"]["objectsExported"], 30)
    key = duckdb.sql(f"""select decode(value) from parquet_kv_metadata('{node.folder("y")}/Ten_away_0000.parquet')
                         where decode(key) = 'tenant'""").fetchall()[0]
    equal(key, ("away",), "tenant in the file")
    node.close()


def test_colliding_names_lose_nothing(bin_dir):
    node = Node(bin_dir)
    node.create_class("Coll", tenants=["A_B", "B"])
    node.create_class("Coll_A", tenants=["B"])
    node.insert("Coll", 40, tenant="A_B")
    node.insert("Coll_A", 50, tenant="B")
    status = node.export("c")
    equal(status["status"], "SUCCESS")
    found = duckdb.sql(f"""
        select decode(value), count(*) from parquet_kv_metadata('{node.folder("c")}/*.parquet')
        where decode(key) = 'collection' group by 1 order by 1""").fetchall()
    equal(found, [("Coll", 1), ("Coll_A", 1)])
    equal(len(rows(node, "c")), 90)
    node.close()


def test_unknown_names_are_told_and_ids_never_reused(bin_dir):
    node = Node(bin_dir)
    node.create_class("A")
    node.insert("A", 3)
    reply = node.export("one", wait=False, include=["A", "Nope", "A"])
    equal(reply["classes"], ["A"])
    equal(reply["unknownCollections"], ["Nope"])
    node.wait("one")
    status, body, _ = node.call("POST", "/v1/export/filesystem", {"id": "one", "file_format": "parquet"})
    equal(status, 409, body)
    for bad in ("A B", "Ü", "a/b", "", "x" * 129, "../up"):
        status, body, _ = node.call("POST", "/v1/export/filesystem", {"id": bad, "file_format": "parquet"})
        equal(status, 422, f"id {bad!r}: {body}")
    listed = node.ok("GET", "/v1/export/filesystem")["exports"]
    equal([(e["id"], e["status"]) for e in listed], [("one", "SUCCESS")])
    node.close()


def big_node(bin_dir, **env):
    node = Node(bin_dir, **env)
    node.create_class("Big", vectorConfig={"v": {"vectorizer": {"none": {}}}})
    noise = random.Random(7)
    for start in range(0, 6000, 500):
        node.ok("POST", "/v1/batch/objects", {"objects": [
            {"class": "Big", "id": f"{n:08x}-0000-4000-8000-000000000000", "properties": {"n": n},
             "vector": [noise.random() for _ in range(512)]} for n in range(start, start + 500)]})
    return node


def test_cancel_is_sticky_and_leaves_no_partial_file(bin_dir):
    node = big_node(bin_dir, EXPORT_PARALLELISM=1)
    node.export("c", wait=False)
    status, body, _ = node.call("DELETE", "/v1/export/filesystem/c")
    check(status in (204, 409), f"cancel: {status} {body}")
    state = node.ok("GET", "/v1/export/filesystem/c")
    if status == 204:
        equal(state["status"], "CANCELED")
        check("completedAt" in state, state)
    equal(marks(node, "c"), MARKS if state["status"] == "SUCCESS" else [], "marks of a whole export")
    equal(leftovers(node.data), [], "temporary files")
    for path in node.folder("c").glob("*.parquet"):
        duckdb.sql(f"select count(*) from read_parquet('{path}')").fetchall()[0]
    equal(node.call("DELETE", "/v1/export/filesystem/c")[0], 409, "second cancel")
    equal(node.call("DELETE", "/v1/export/filesystem/none")[0], 404, "cancel of an unknown id")
    equal(node.export("d")["status"], "SUCCESS", "the slot is free")
    node.close()


def test_two_exports_at_once(bin_dir):
    node = big_node(bin_dir, EXPORT_PARALLELISM=1)
    codes = []
    def post(n):
        codes.append(node.call("POST", "/v1/export/filesystem", {"id": f"e{n}", "file_format": "parquet"})[0])
    threads = [threading.Thread(target=post, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check(codes.count(200) >= 1 and set(codes) <= {200, 409}, f"answers {codes}")
    node.close()


def test_kill_during_an_export(bin_dir):
    node = big_node(bin_dir, EXPORT_PARALLELISM=1)
    node.export("k", wait=False)
    node.kill()
    last = node.call
    node.start()
    state = node.ok("GET", "/v1/export/filesystem/k")
    check(state["status"] in ("FAILED", "SUCCESS"), state)
    if state["status"] == "FAILED":
        check("interrupted" in state["error"], state)
    equal(marks(node, "k"), MARKS if state["status"] == "SUCCESS" else [], "marks of a whole export")
    equal(leftovers(node.data), [], "temporary files after the restart")
    equal(node.export("again")["status"], "SUCCESS", "slot after the restart")
    equal(len(rows(node, "again")), 6000, "rows after the restart")
    check(last is not None)
    node.close()


def test_acknowledged_writes_survive_a_kill(bin_dir):
    node = Node(bin_dir)
    node.create_class("A")
    ids, stop = [], threading.Event()

    def write():
        n = 0
        while not stop.is_set():
            try:
                ids.extend(node.insert("A", 10, first=n))
            except (OSError, Failed, ValueError):
                return
            n += 10

    thread = threading.Thread(target=write)
    thread.start()
    while len(ids) < 300:
        pass
    node.kill()
    stop.set()
    thread.join()
    node.start()
    node.export("after")
    got = {r[0] for r in rows(node, "after")}
    check(set(ids) <= got, f"{len(set(ids) - got)} acknowledged objects lost")
    node.close()


def test_full_disk_is_a_failed_export_not_a_success(bin_dir):
    mount = pathlib.Path(os.environ.get("TMPDIR", "/tmp"), f"sluice-full-{os.getpid()}")
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", mount], check=True)
    try:
        node = big_node(bin_dir, EXPORT_DEFAULT_PATH=mount)
        node.ok("POST", "/v1/export/filesystem", {"id": "full", "file_format": "parquet"})
        state = node.wait("full")
        equal(state["status"], "FAILED", state)
        check("space" in state["error"].lower(), state["error"])
        equal(leftovers(mount), [], "temporary files")
        equal(node.insert("Big", 1, dims=512, first=10_000_000)[1:], [], "the node still takes writes")
        node.close()
    finally:
        subprocess.run(["umount", mount], check=True)
        mount.rmdir()


def test_unwritable_folder_is_told_before_anything_starts(bin_dir):
    node = Node(bin_dir, EXPORT_DEFAULT_PATH="/proc/nowhere")
    node.create_class("A")
    node.insert("A", 3)
    status, body, _ = node.call("POST", "/v1/export/filesystem", {"id": "x", "file_format": "parquet"})
    equal(status, 422, body)
    check("/proc/nowhere" in body["error"][0]["message"], body)
    node.close()


def test_ten_thousand_tenants(bin_dir):
    node = Node(bin_dir)
    node.create_class("Many", tenants=[f"t{n}" for n in range(10000)])
    for n in range(0, 10000, 500):
        node.insert("Many", 2, tenant=f"t{n}")
    status = node.export("m")
    equal(status["status"], "SUCCESS")
    shards = status["shardStatus"]["Many"]
    equal(len(shards), 10000)
    equal(sum(1 for s in shards.values() if s["status"] == "SUCCESS"), 20)
    node.close()


def test_export_without_a_server(bin_dir):
    node = Node(bin_dir)
    node.create_class("A")
    node.insert("A", 500)
    out = node.data / "exports"
    code, _, err = node.sluice("export", str(node.data), str(out), "--json")
    equal(code, 1, "a running node's folder is refused")
    check("in use" in err, err)
    node.stop()
    around = node.data.parent / "new" / ".." / node.data.name / "out"
    for dest in (node.data / "out", node.data, node.data / "db", node.data / "exports/../out", around):
        code, _, err = node.sluice("export", str(node.data), str(dest))
        equal((code, "lie one within the other" in err), (1, True), err)
    check(not (node.data / "out").exists(), "written into the source")
    before = {p: p.stat().st_mtime_ns for p in (node.data / "db").rglob("*")}
    code, stdout, err = node.sluice("export", str(node.data), str(out), "--id", "cli", "--json")
    equal(code, 0, err)
    line = json.loads(stdout.splitlines()[-1])
    equal((line["id"], line["status"], line["rows"], line["files"]), ("cli", "SUCCESS", 500, 1))
    equal({p: p.stat().st_mtime_ns for p in (node.data / "db").rglob("*")}, before, "the source was touched")
    found = duckdb.sql(f"select count(*) from read_parquet('{out}/cli/*.parquet')").fetchall()[0]
    equal(found, (500,))
    equal(line["bytes"], sum(p.stat().st_size for p in (out / "cli").glob("*.parquet")))
    code, stdout, _ = node.sluice("inspect", str(out / "cli"), "--json")
    equal((code, json.loads(stdout)["rows"]), (0, 500))
    node.owned and node.close()


def test_export_is_off_by_default(bin_dir):
    node = Node(bin_dir, EXPORT_ENABLED="")
    status, body, _ = node.call("POST", "/v1/export/filesystem", {"id": "x", "file_format": "parquet"})
    equal(status, 422)
    check("EXPORT_ENABLED" in body["error"][0]["message"], body)
    node.close()


def test_second_node_on_the_same_folder_is_refused(bin_dir):
    node = Node(bin_dir)
    second = subprocess.run([f"{bin_dir}/sluiced"], env=node.env, capture_output=True, text=True, timeout=60)
    equal(second.returncode, 1)
    check("in use by another process" in second.stderr, second.stderr)
    node.close()


def test_bad_setting_stops_the_start_with_one_line(bin_dir):
    for name, value in (("EXPORT_PARALLELISM", "-1"), ("EXPORT_PARALLELISM", "abc"), ("EXPORT_ENABLED", "perhaps"),
                        ("SLUICE_MEMORY_MAX", "12 bananas"), ("LOG_LEVEL", "loud"), ("SLUICE_PORT", "70000")):
        done = subprocess.run([f"{bin_dir}/sluiced"], env={**sanitizer_env(), name: value}, capture_output=True, text=True, timeout=60)
        equal(done.returncode, 2, f"{name}={value}")
        equal(len(done.stderr.splitlines()), 1, done.stderr)
        check(name in done.stderr and value in done.stderr and "allowed" in done.stderr, done.stderr)


def test_thousand_idle_connections_and_vanished_clients(bin_dir):
    node = Node(bin_dir)
    node.create_class("A")
    idle = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(1000)]
    for _ in range(50):
        gone = socket.create_connection(("127.0.0.1", node.port))
        gone.sendall(b"POST /v1/batch/objects HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                     b"Content-Length: 100000\r\n\r\n{\"objects\":[")
        gone.close()
    equal(len(node.insert("A", 100)), 100, "writes beside idle connections")
    equal(node.export("i")["status"], "SUCCESS")
    for s in idle:
        s.close()
    node.close()


run(dict(globals()))
