"""A store that is away, refusing or silent, when a node starts or stops: the node does neither wait for it nor lose what
is to be done there. With all three kinds of stores, each a real server behind a proxy."""

import concurrent.futures
import contextlib
import json
import pathlib
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
# pylint: disable=wrong-import-position
import fixtures
import stores
from fault_proxy import FaultProxy, Hang, always, first
from node import Failed, Node, check, equal, run

STORES = {"s3": stores.versitygw, "gcs": stores.fake_gcs, "azure": stores.azurite}
PROMPT_S = 8  # a start takes a fraction of a second; the waits that must not be are of ten and more
OBJECTS = 40


def with_each(test, bin_dir):
    """Side by side, since they mostly wait."""
    def one(kind):
        with STORES[kind]() as store, FaultProxy(urllib.parse.urlsplit(store.url).port) as proxy, \
                tempfile.TemporaryDirectory(prefix="sluice-away-") as data:
            direct = store.url.partition("://")[2]
            env = {k: v.replace(direct, f"127.0.0.1:{proxy.port}") for k, v in store.env.items()}
            test(bin_dir, kind, store, proxy, data, {**env, "SLUICE_STORE_STALL": "300s", "SLUICE_STORE_DEADLINE": "600s"})
    with concurrent.futures.ThreadPoolExecutor(len(STORES)) as pool:
        for done in [pool.submit(one, kind) for kind in STORES]:
            done.result()


@contextlib.contextmanager
def promptly(what):
    begun = time.monotonic()
    yield
    took = time.monotonic() - begun
    check(took < PROMPT_S, f"{what} took {took:.1f} s")


def wait_for(condition, what, seconds=60):
    begun = time.monotonic()
    while not condition():
        check(time.monotonic() - begun < seconds, f"{what}: not within {seconds} s")


def told(node, *words):
    """A line of the log that has them all; None: not yet."""
    return next((line for line in list(node.log) if all(word in line for word in words)), None)


def killed_while_it_writes(node, kind, proxy, export_id):
    """The id is claimed by its first write; the second one, which is of a file, has no answer."""
    reached, writes = threading.Event(), []

    def hang(request):
        if request.method in ("PUT", "POST"):
            writes.append(request)
        return (reached.set() or Hang()) if len(writes) > 1 else None
    proxy.rules = [hang]
    node.ok("POST", f"/v1/export/{kind}", {"id": export_id, "file_format": "parquet"})
    check(reached.wait(60), "no file was written")
    node.kill()
    proxy.rules = []


def an_export_is_ended_when_its_store_is_back(bin_dir, kind, store, proxy, data, env):
    node = Node(bin_dir, data=data, **env)
    node.create_class("Movies")
    node.insert("Movies", OBJECTS)
    killed_while_it_writes(node, kind, proxy, "killed")
    proxy.rules = [always(None, Hang())]
    with promptly(f"{kind}: a start beside a silent store"):
        node.start()
    wait_for(lambda: proxy.faults, f"{kind}: the store is asked")
    with promptly(f"{kind}: a stop beside a silent store"):
        node.stop()
    proxy.is_down = True
    proxy.drop_all()
    node.log.clear()
    with promptly(f"{kind}: a start beside a store that is down"):
        node.start()
    equal(len(node.ok("GET", "/v1/objects?class=Movies&limit=100")["objects"]), OBJECTS, "objects served meanwhile")
    wait_for(lambda: told(node, '"export_recovery"', "could not be ended", '"killed"'), f"{kind}: a line of the log")
    line = told(node, "could not be ended")
    check(store.place in line and f"127.0.0.1:{proxy.port}" in line, line)
    proxy.rules, proxy.is_down = [lambda request: None if request.method == "GET" else Hang()], False
    reply = node.ok("GET", f"/v1/export/{kind}/killed")
    equal(reply["status"], "FAILED", f"{kind}: the reply before the record is written")
    check(reply["error"].startswith("interrupted"), reply)
    proxy.rules = []
    proxy.drop_all()
    wait_for(lambda: told(node, "ended an export that was interrupted", '"killed"'), f"{kind}: the end of the export")
    record = json.loads(store.objects("killed/")["killed/export_metadata.json"])
    equal(record["status"], "FAILED", f"{kind}: the record")
    check(record["error"].startswith("interrupted"), record)
    equal(node.ok("GET", f"/v1/export/{kind}/killed")["error"], record["error"], "the reply")
    if kind != "gcs":  # which tells nobody of its sessions
        equal(store.open_uploads(), [], f"{kind}: open uploads")
    equal(node.call("POST", f"/v1/export/{kind}", {"id": "killed", "file_format": "parquet"})[0], 409, "the id again")
    node.ok("POST", f"/v1/export/{kind}", {"id": "next", "file_format": "parquet"})
    code, out, err = node.sluice("wait", "next", "--backend", kind, "--json")
    equal((code, json.loads(out)["status"]), (0, "SUCCESS"), err)
    node.stop()
    node.log.clear()
    node.start()
    node.stop()
    equal(told(node, "export_recovery"), None, f"{kind}: what is ended is not ended again")


def test_an_export_is_ended_when_its_store_is_back(bin_dir):
    with_each(an_export_is_ended_when_its_store_is_back, bin_dir)


def status_of(node):
    return node.ok("GET", "/v1/schema/Ten/tenants/a")["activityStatus"]


def ask(node, status):
    node.ok("PUT", "/v1/schema/Ten/tenants", [{"name": "a", "activityStatus": status}])


def a_tenant_waits_for_its_store(bin_dir, kind, store, proxy, data, env):
    """The store falls silent at each request of the move, once."""
    node = Node(bin_dir, data=data, SLUICE_OFFLOAD_PATH=store.place + "/away", **env)
    node.create_class("Ten", tenants=["a"])
    node.insert("Ten", OBJECTS, tenant="a")
    skip = 0
    while True:
        proxy.rules = [first(1 << 60, None, Hang(), skip=skip)]
        before = len(proxy.faults)
        ask(node, "OFFLOADED")
        wait_for(lambda: status_of(node) == "FROZEN" or len(proxy.faults) > before, f"{kind}: a request")  # pylint: disable=cell-var-from-loop
        is_silent = len(proxy.faults) > before
        with promptly(f"{kind}: a stop when request {skip} has no answer"):
            node.stop()
        with promptly(f"{kind}: a start beside a silent store"):
            node.start()
        proxy.rules = []
        proxy.drop_all()
        wait_for(lambda: status_of(node) == "FROZEN", f"{kind}: away, after request {skip}")
        ask(node, "HOT")
        wait_for(lambda: status_of(node) == "HOT", f"{kind}: back, after request {skip}")
        equal(len(node.ok("GET", "/v1/objects?class=Ten&tenant=a&limit=100")["objects"]), OBJECTS, f"{kind} {skip}")
        if not is_silent:
            break
        skip += 1 if kind == "s3" else 3
    check(skip > 2, f"{kind}: {skip} requests were met")
    if kind != "gcs":
        equal(store.open_uploads(), [], f"{kind}: open uploads")
    node.stop()


def test_a_tenant_waits_for_its_store(bin_dir):
    with_each(a_tenant_waits_for_its_store, bin_dir)


def a_source_that_is_away_is_told_soon(bin_dir, kind, store, proxy, data, env):
    """Down from the start, or silent after its first answer: the node ends within some ten seconds, not ten minutes."""
    source = f"{store.place}/backups/mine"
    wanted = ("exit code 1", f"127.0.0.1:{proxy.port}", store.place, "tried")
    for name, rules, is_down in (("down", [], True), ("silent", [first(1 << 60, None, Hang(), skip=1)], False)):
        proxy.rules, proxy.is_down = rules, is_down
        begun = time.monotonic()
        try:
            Node(bin_dir, data=data, SLUICE_SOURCE=f"backup:{source}", **{**env, "SLUICE_STORE_STALL": "1s"}).kill()
        except Failed as failure:
            took = time.monotonic() - begun
            check(took < 25, f"{kind}, {name}: it took {took:.1f} s; {proxy.log}")
            check(all(word in str(failure) for word in wanted), f"{kind}, {name}: {failure}")
        else:
            raise Failed(f"{kind}, {name}: it started")


def test_a_source_that_is_away_is_told_soon(bin_dir):
    with_each(a_source_that_is_away_is_told_soon, bin_dir)


def a_stop_while_the_source_is_silent(bin_dir, kind, store, proxy, data, env):
    """The store of the source falls silent at each request of an export, once."""
    scratch, (folder, name, all_names) = fixtures.Scratch(), next(fixtures.backup_sets())
    for one in all_names:
        (scratch.path / one).mkdir()
        fixtures.unpack(folder / f"backup-{one}.tar.zst", scratch.path / one)
    stores.put_all(store, scratch.path)
    env = {k: v for k, v in env.items() if not k.startswith("EXPORT_DEFAULT")}
    node = Node(bin_dir, data=data, SLUICE_SOURCE=f"backup:{store.place}/backups/{name}", **env)
    states, skip = set(), 0
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        while True:
            proxy.rules = [first(1 << 60, None, Hang(), skip=skip)]
            before, export_id = len(proxy.faults), f"silent{skip}"
            record = node.folder(export_id) / "export_metadata.json"
            asked = pool.submit(node.call, "POST", "/v1/export/filesystem", {"id": export_id, "file_format": "parquet"})
            wait_for(lambda: len(proxy.faults) > before or is_ended(record), f"{kind}: a request")  # pylint: disable=cell-var-from-loop
            is_silent = len(proxy.faults) > before
            with promptly(f"{kind}: a stop when request {skip} of the source has no answer"):
                node.stop()
            asked.result()
            told_end = json.loads(record.read_text()) if record.exists() else {"status": "refused"}
            states.add((told_end["status"], told_end.get("error", "")))
            proxy.rules = []
            proxy.drop_all()
            if not is_silent:
                break
            skip += 1
            node.start()
    equal(states - {("refused", "")}, {("FAILED", "interrupted: the node was stopped"), ("SUCCESS", "")}, f"{kind}: ends")


def is_ended(record):
    return record.exists() and json.loads(record.read_text())["status"] == "SUCCESS"


def test_a_stop_while_the_source_is_silent(bin_dir):
    with_each(a_stop_while_the_source_is_silent, bin_dir)


if __name__ == "__main__":
    run(globals())
