"""Exports of a node and of the command line to Azure: over Azurite, and over the server that plays faults.

What is told to be a SUCCESS is read back: object by object from the store, rows by DuckDB.
"""

import json
import os
import pathlib
import random
import sys
import tempfile
import threading

import duckdb

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from azure_server import CONTAINER, CUT, HALF, LOST, AzureServer, Reply  # noqa: E402
from node import Node, check, equal, run  # noqa: E402
import stores  # noqa: E402


def start(node, export_id, **body):
    return node.call("POST", "/v1/export/azure", {"id": export_id, "file_format": "parquet", **body})


def finish(node, export_id):
    """The status of an export that ended."""
    code, out, err = node.sluice("wait", export_id, "--backend", "azure", "--json")
    check(out, f"sluice wait: {code} {err}")
    return json.loads(out)


def rows_of(objects):
    """(rows, distinct ids) in the Parquet files of {name: bytes}."""
    files = {n: b for n, b in objects.items() if n.endswith(".parquet")}
    if not files:
        return 0, 0
    with tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
        for no, data in enumerate(files.values()):
            pathlib.Path(folder, f"{no}.parquet").write_bytes(data)
        return duckdb.sql(f"select count(*), count(distinct id) from '{folder}/*.parquet'").fetchall()[0]


def blobs_of(server, export_id):
    with server.lock:
        return {n: b.data for n, b in server.blobs.items() if n.startswith(f"{export_id}/")}


def server_env(server):
    return {**server.env, "EXPORT_DEFAULT_BUCKET": CONTAINER}


def test_an_export_of_a_node(bin_dir):
    """The same bytes as on the filesystem, read by Microsoft's library."""
    with stores.azurite() as store:
        node = Node(bin_dir, **store.env)
        node.create_class("Movies")
        node.insert("Movies", 10_000, dims=256)
        node.create_class("Reviews", tenants=["a", "b", "c"])
        for tenant in "abc":
            node.insert("Reviews", 500, tenant=tenant)
        status, body, _ = start(node, "e1")
        equal((status, body["path"]), (200, f"{store.place}/e1"), body)
        told = finish(node, "e1")
        equal((told["status"], told["objectsExported"]), ("SUCCESS", 11_500), told)
        objects = store.objects("e1/")
        equal(rows_of(objects), (11_500, 11_500), "rows")
        node.export("f1")
        there = {n.removeprefix("e1/"): b for n, b in objects.items() if n.endswith(".parquet")}
        here = {p.name: p.read_bytes() for p in node.folder("f1").glob("*.parquet")}
        equal(sorted(there), sorted(here), "names")
        for name, data in here.items():
            check(there[name] == data, f"{name} differs from what the filesystem got")
        equal(start(node, "e1")[0], 409, "the same id again")
        equal(store.open_uploads(), [], "uploads left open")
        node.close()


def test_an_export_by_the_command_line(bin_dir):
    with stores.azurite() as store:
        node = Node(bin_dir, **store.env)
        node.create_class("Movies")
        node.insert("Movies", 3000, dims=256)
        node.stop()
        code, out, err = node.sluice("export", str(node.data), f"{store.place}/weekly", "--id", "e2", "--json")
        equal(code, 0, err)
        equal(json.loads(out.splitlines()[-1])["status"], "SUCCESS", out)
        equal(rows_of(store.objects("weekly/e2/")), (3000, 3000), "rows")
        code, _, err = node.sluice("export", str(node.data), "az://nosuch/weekly", "--id", "e3")
        equal(code, 1, err)
        check("az://nosuch" in err and "container does not exist" in err, err)
        equal([n for n in store.objects() if "e3" in n], [], "objects of what was refused")
        node.close()


def test_a_refused_container_is_told_before_data_moves(bin_dir):
    with AzureServer() as server:
        server.containers.clear()
        node = Node(bin_dir, **server_env(server))
        node.create_class("Movies")
        status, body, _ = start(node, "e1")
        equal(status, 422, body)
        text = json.dumps(body)
        check("az://backups" in text and "container does not exist" in text, text)
        equal(server.blobs, {}, "objects")
        node.close()


class Gate:
    """A rule that holds every Put Block until it is opened."""

    def __init__(self):
        self.arrived, self.opened = threading.Event(), threading.Event()

    def __call__(self, request):
        if request.name == "Put Block":
            self.arrived.set()
            self.opened.wait(60)
        return None


def held(bin_dir, server):
    """(node, gate) with an export e1 whose first block is held."""
    gate = Gate()
    server.rules.append(gate)
    node = Node(bin_dir, **server_env(server))
    node.create_class("Movies")
    node.insert("Movies", 10_000, dims=256)
    equal(start(node, "e1")[0], 200, "export")
    check(gate.arrived.wait(60), "no block came")
    return node, gate


def parquet_files(server):
    return [n for n in server.blobs if n.endswith(".parquet")]


def test_cancel_leaves_no_upload(bin_dir):
    with AzureServer() as server:
        node, gate = held(bin_dir, server)
        canceler = threading.Thread(target=node.call, args=("DELETE", "/v1/export/azure/e1"))
        canceler.start()
        gate.opened.set()
        canceler.join()
        equal(finish(node, "e1")["status"], "CANCELED", "status")
        equal((parquet_files(server), server.uncommitted), ([], {}), "what is left")
        node.close()
        equal(server.faults, [], "faults")


def test_a_killed_node_clears_away_at_its_next_start(bin_dir):
    with AzureServer() as server:
        node, gate = held(bin_dir, server)
        node.kill()
        gate.opened.set()
        server.rules.clear()
        with server.lock:
            server.uncommitted.setdefault("e1/Movies_left_0000.parquet", {}).update(
                {"c2x1aWNlLTAxMjM0NTY3ODlhYmNkZWYtMDAwMDAx": b"x"})
        again = Node(bin_dir, data=node.data, **server_env(server))
        while not any("ended an export" in line for line in list(again.log)):
            pass  # the start itself does not wait for a store
        told = finish(again, "e1")
        equal(told["status"], "FAILED", told)
        check("interrupted" in told.get("error", ""), told)
        equal((parquet_files(server), server.uncommitted), ([], {}), "what is left")
        again.close()
        node.close()


def test_random_faults_give_no_false_success(bin_dir):
    """Each exchange fails in one of many ways with one chance in seven."""
    dice, lock = random.Random(23), threading.Lock()
    actions = [LOST, CUT, HALF, Reply(503, "ServerBusy"), Reply(500, "InternalError"), Reply(429),
               Reply(500, "OperationTimedOut"), Reply(502, body=b"<html>")]

    def rule(_):
        with lock:
            return dice.choice(actions) if dice.random() < 1 / 7 else None
    count = 1000 if "--all" in sys.argv else 40
    with AzureServer() as server:
        node = Node(bin_dir, SLUICE_STORE_DEADLINE="2s", **server_env(server))
        node.create_class("Movies")
        node.insert("Movies", 6000, dims=256)
        node.create_class("Reviews", tenants=["a", "b"])
        for tenant in "ab":
            node.insert("Reviews", 20, tenant=tenant)
        server.rules.append(rule)
        good = 0
        for no in range(count):
            export_id = f"e{no}"
            status, _, _ = start(node, export_id)
            if status != 200:
                continue
            told = finish(node, export_id)
            if told["status"] != "SUCCESS":
                check(told.get("error"), f"no reason: {told}")
                continue
            good += 1
            objects = blobs_of(server, export_id)
            equal(rows_of(objects), (6040, 6040), f"rows of {export_id}")
            stored = json.loads(objects[f"{export_id}/export_metadata.json"])
            equal(stored["status"], "SUCCESS", f"the record of {export_id}")
        check(good >= count // 2, f"only {good} of {count} exports ended well")
        server.rules.clear()
        equal(server.faults, [], "faults")
        node.close()


if __name__ == "__main__":
    run(dict(globals()))
