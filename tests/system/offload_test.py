"""OFFLOADED tenants in an object store: they go, stay over a restart and come back whole, whatever happens between."""

import contextlib
import json
import pathlib
import sys
import tempfile
import threading
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
# pylint: disable=wrong-import-position
import stores
from fault_proxy import Answer, FaultProxy, Hang, first
from node import Node, check, equal, run

OWNER = "away/sluice-offload-owner"
OBJECTS = 40


@contextlib.contextmanager
def world(bin_dir, rules=()):
    """(node, its store, what lies between). The node's collection Ten has the tenants "a" and "b"."""
    with stores.versitygw() as store, tempfile.TemporaryDirectory(prefix="sluice-offload-") as data, \
            FaultProxy(urllib.parse.urlsplit(store.url).port) as proxy:
        proxy.rules = list(rules)
        env = {**store.env, "BACKUP_S3_ENDPOINT": f"127.0.0.1:{proxy.port}", "SLUICE_STORE_DEADLINE": "3s",
               "SLUICE_OFFLOAD_PATH": store.place + "/away"}
        node = Node(bin_dir, data=data, **env)
        node.create_class("Ten", tenants=["a", "b"])
        for tenant in "ab":
            node.insert("Ten", OBJECTS, tenant=tenant)
        yield node, store, proxy
        node.close()


def ask(node, status, tenant="a"):
    node.ok("PUT", "/v1/schema/Ten/tenants", [{"name": tenant, "activityStatus": status}])


def status_of(node, tenant="a"):
    return node.ok("GET", f"/v1/schema/Ten/tenants/{tenant}")["activityStatus"]


def wait_for(node, status, tenant="a"):
    while status_of(node, tenant) != status:
        pass


def objects(node, tenant="a"):
    found = node.ok("GET", f"/v1/objects?class=Ten&tenant={tenant}&limit=1000&include=vector")["objects"]
    return sorted(json.dumps(o, sort_keys=True) for o in found)


def files(store):
    """Keys alone: an object may go between its listing and its reading."""
    found = store.client().list_objects_v2(Bucket=stores.BUCKET, Prefix="away/").get("Contents", [])
    return sorted(one["Key"] for one in found if one["Key"] != OWNER)


def test_tenant_lives_in_the_store(bin_dir):
    with world(bin_dir) as (node, store, _):
        before = objects(node)
        ask(node, "OFFLOADED")
        wait_for(node, "FROZEN")
        away = files(store)
        equal(len(away), 1, f"files of one tenant: {away}")
        check(not (node.data / "offload").exists(), "a folder was made")
        node.kill()
        node.start()
        equal(status_of(node), "FROZEN", "after a restart")
        ask(node, "HOT")
        wait_for(node, "HOT")
        equal(objects(node), before, "objects that came back")
        equal(len(objects(node, "b")), OBJECTS, "the tenant that stayed")
        ask(node, "OFFLOADED")
        wait_for(node, "FROZEN")
        equal(files(store), away, "the name of the second file")
        node.ok("DELETE", "/v1/schema/Ten/tenants", ["a"])
        while files(store):
            pass
        equal(store.open_uploads(), [])


def test_killed_at_any_request(bin_dir):
    """The process dies while one request of the move waits for its answer; the next brings it to its end."""
    met = 0
    for back in (False, True):
        for skip in range(40):
            reached = threading.Event()

            def hang(_request, reached=reached):
                reached.set()
                return Hang()
            with world(bin_dir) as (node, store, proxy):
                before = objects(node)
                if back:
                    ask(node, "OFFLOADED")
                    wait_for(node, "FROZEN")
                proxy.rules = [first(1, None, hang, skip=skip)]
                aim = "HOT" if back else "FROZEN"
                ask(node, "HOT" if back else "OFFLOADED")
                while not reached.is_set() and status_of(node) != aim:
                    pass
                node.kill()
                proxy.rules = []
                node.start()
                wait_for(node, aim)
                if not back:
                    equal(len(files(store)), 1, f"files, killed at request {skip}")
                    ask(node, "HOT")
                    wait_for(node, "HOT")
                equal(objects(node), before, f"objects, killed at request {skip}, back {back}")
                equal(store.open_uploads(), [])
                met += reached.is_set()
            if not reached.is_set():
                break
    check(met > 6, f"{met} requests were met")


def test_store_that_is_down_is_told(bin_dir):
    with world(bin_dir) as (node, store, proxy):
        before = objects(node)
        proxy.is_down = True
        proxy.drop_all()
        ask(node, "OFFLOADED")
        while not any('"tenant_offload"' in line for line in list(node.log)):
            pass
        equal(status_of(node), "FREEZING")
        equal(files(store), [])
        ask(node, "HOT")
        equal(objects(node), before, "asked back, nothing was lost")
        ask(node, "OFFLOADED")
        node.stop()  # does not wait for the store
        proxy.is_down = False
        node.start()
        wait_for(node, "FROZEN")
        ask(node, "HOT")
        wait_for(node, "HOT")
        equal(objects(node), before)


def test_store_that_keeps_everything(bin_dir):
    """Where nothing may be removed a later file has a later number, and the newest counts."""
    denied = Answer(403, b"<Error><Code>AccessDenied</Code><Message>kept</Message></Error>")
    with world(bin_dir) as (node, store, proxy):
        proxy.rules = [lambda request: denied if request.method == "DELETE" else None]
        for n in range(3):
            node.insert("Ten", 1, tenant="a", first=OBJECTS + n)
            before = objects(node)
            ask(node, "OFFLOADED")
            wait_for(node, "FROZEN")
            ask(node, "HOT")
            wait_for(node, "HOT")
            equal(objects(node), before, f"round {n}")
        equal(len(files(store)), 3, "files that stay")
        proxy.rules = []
        ask(node, "OFFLOADED")
        wait_for(node, "FROZEN")
        equal(len(files(store)), 1, "files when they may be removed again")


def test_place_of_another_node_is_refused(bin_dir):
    with world(bin_dir) as (node, store, _):
        ask(node, "OFFLOADED")
        wait_for(node, "FROZEN")
        held = store.objects("away/")
        other = Node(bin_dir, **{k: v for k, v in node.env.items() if k not in ("PERSISTENCE_DATA_PATH",)})
        other.create_class("Ten", tenants=["a"])
        other.insert("Ten", 1, tenant="a")
        ask(other, "OFFLOADED")
        while not any("another data folder" in line for line in list(other.log)):
            pass
        equal(status_of(other), "FREEZING")
        equal(store.objects("away/"), held, "what the first node holds there")
        other.close()


def test_large_tenant_in_every_store(bin_dir):
    """More than one part; a folder as it was before places had owners is taken over."""
    with contextlib.ExitStack() as stack:
        for start in (contextlib.nullcontext, stores.versitygw, stores.azurite, stores.fake_gcs):
            store = stack.enter_context(start())
            env = {**store.env, "SLUICE_OFFLOAD_PATH": store.place + "/away"} if store else {}
            node = Node(bin_dir, **env)
            node.create_class("Ten", tenants=["a"])
            node.insert("Ten", 3000, tenant="a", properties={"long": "x" * 4000})
            before = objects(node)
            ask(node, "OFFLOADED")
            wait_for(node, "FROZEN")
            if store is None:
                (node.data / "offload/sluice-offload-owner").unlink()
            node.stop()
            node.start()
            ask(node, "HOT")
            wait_for(node, "HOT")
            equal(len(before), 1000)
            check(objects(node) == before, f"{store and store.place}: other objects came back")
            node.close()


if __name__ == "__main__":
    run(globals())
