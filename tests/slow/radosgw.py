"""Exports to Ceph's S3 server: the backend suite, objects as Amazon's own library sees them, whole exports of a node,
one that is canceled and one that is killed, and faults on the way.

It is an S3 server of its own making: it ignores If-None-Match at the end of an upload and the checksums of parts, and
lists uploads and keys from an index.
"""

import atexit
import contextlib
import json
import pathlib
import shutil
import sys
import tempfile
import threading

import duckdb

TESTS = pathlib.Path(__file__).parent.parent
sys.path[:0] = [str(TESTS / folder) for folder in ("lib", "interop", "system")]
import ceph  # noqa: E402
import s3_stores  # noqa: E402
import store_fault_test as faults  # noqa: E402
from backend_tool import Tool, run_suite  # noqa: E402
from fault_proxy import FaultProxy, Hang, Lost, first  # noqa: E402
from node import Node, check, equal, run  # noqa: E402
from stores import BUCKET  # noqa: E402

MIB = 1 << 20
STORE, STACK = [], contextlib.ExitStack()


def store():
    """One for all tests: it needs ten seconds to start."""
    if not STORE:
        atexit.register(STACK.close)
        STORE.append(STACK.enter_context(ceph.radosgw()))
    return STORE[0]


@contextlib.contextmanager
def loaded(bin_dir, **env):
    """A node with the collections of store_fault_test.py, of which one is of several parts."""
    with tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
        shutil.copytree(faults.world(bin_dir).data, folder, dirs_exist_ok=True)
        node = Node(bin_dir, data=folder, **{**store().env, **env})
        yield node
        node.close()


def rows_of(folder):
    """As DuckDB reads them."""
    return duckdb.sql(f"select * from '{folder}/*.parquet' order by id").fetchall()


def start(node, export_id):
    node.ok("POST", "/v1/export/s3", {"id": export_id, "file_format": "parquet"})


def test_the_backend_suite(bin_dir):
    run_suite(bin_dir, store())


def test_objects_as_amazons_library_sees_them(bin_dir):
    s3_stores.amazons_library_reads_what_we_wrote(bin_dir, store(), keeps_checksums=False)
    s3_stores.we_read_what_amazons_library_wrote(bin_dir, store())
    s3_stores.a_sweep_clears_what_a_kill_left(bin_dir, store())
    s3_stores.listings_go_over_pages(bin_dir, store())
    s3_stores.refusals_say_what_is_wrong(bin_dir, store())


def test_an_object_of_another_writer_is_not_replaced(bin_dir):
    """The store would let it be, since it ignores the condition at the end of an upload: we look before."""
    theirs, client = b"of another", store().client()
    with tempfile.TemporaryDirectory(prefix="sluice-test-") as folder, FaultProxy(store().port) as proxy:
        path, met, lock = pathlib.Path(folder, "object"), [], threading.Lock()
        path.write_bytes(b"ours" * (3 * MIB))

        def come_between(request):
            if request.name == "UploadPart" and lock.acquire(blocking=False):  # the first part of several at once
                met.append(client.put_object(Bucket=BUCKET, Key="race/taken", Body=theirs))
        env = {**store().env, "BACKUP_S3_ENDPOINT": f"127.0.0.1:{proxy.port}"}
        with Tool(bin_dir, f"{store().place}/race", **env) as tool:
            proxy.rules = [come_between]
            tool.fails("SL_ECONFLICT", "upload", "taken", path, 5 * MIB, has=("race/taken", "exists already"))
            proxy.rules = [first(1, "CompleteMultipartUpload", Lost())]
            tool.ok("upload", "lost", path, 5 * MIB)  # what it finds there is its own
        equal((len(met), len(proxy.faults)), (1, 1), "the other writer came, an answer was lost")
        equal(store().objects("race/"), {"race/taken": theirs, "race/lost": path.read_bytes()}, "objects")
    equal(store().open_uploads(), [], "uploads left open")


def test_a_whole_export(bin_dir):
    with loaded(bin_dir) as node, tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
        start(node, "whole")
        code, out, err = node.sluice("wait", "whole", "--backend", "s3", "--json")
        equal((code, json.loads(out)["status"]), (0, "SUCCESS"), err)
        found = store().objects("whole/")
        for name, data in found.items():
            pathlib.Path(folder, pathlib.Path(name).name).write_bytes(data)
        rows = rows_of(folder)
        check(len(rows) == 5020 and rows == rows_of(faults.world(bin_dir).folder / "want/x"), f"{len(rows)} rows")
        largest = max(found, key=lambda name: len(found[name]))
        etag = store().client().head_object(Bucket=BUCKET, Key=largest)["ETag"]
        check("-" in etag, f"{largest} came in one part: {etag}")
        code, out, err = node.sluice("verify", f"{store().place}/whole", "--deep", "--json")
        equal((code, json.loads(out)["problems"]), (0, []), err)
        damaged = bytearray(found[largest])
        damaged[len(damaged) // 2] ^= 1
        store().client().put_object(Bucket=BUCKET, Key=largest, Body=bytes(damaged))
        code, out, err = node.sluice("verify", f"{store().place}/whole", "--deep", "--json")
        equal((code, len(json.loads(out)["problems"])), (1, 1), out + err)
        equal(node.call("POST", "/v1/export/s3", {"id": "whole", "file_format": "parquet"})[0], 409, "the id again")
        equal(store().open_uploads(), [], "uploads left open")


def test_a_canceled_export_leaves_no_upload(bin_dir):
    reached = threading.Event()
    with FaultProxy(store().port) as proxy, loaded(bin_dir, BACKUP_S3_ENDPOINT=f"127.0.0.1:{proxy.port}") as node:
        proxy.rules = [first(1 << 30, "UploadPart", lambda _: reached.set() or Hang(), skip=1)]
        start(node, "gone")
        check(reached.wait(60), "no second part")
        equal(len(store().open_uploads()), 1, "uploads while it runs")
        equal(node.call("DELETE", "/v1/export/s3/gone")[0], 204, "cancel")
        equal(store().open_uploads(), [], "uploads after the cancel")
        equal(node.ok("GET", "/v1/export/s3/gone")["status"], "CANCELED")
        check(not any("Large" in key for key in store().objects("gone/")), "a file of a canceled upload")


def with_faults(bin_dir, test, *args):
    """A test of tests/system/store_fault_test.py, over this store."""
    world = faults.world(bin_dir)
    usual = world.store
    world.use(store())
    try:
        test(bin_dir, *args)
    finally:
        world.use(usual)


def test_the_next_start_clears_what_a_kill_left(bin_dir):
    with_faults(bin_dir, faults.test_the_next_start_clears_what_a_kill_left)


def test_faults_on_the_way(bin_dir):
    for test in (faults.test_without_a_fault, faults.test_lost_answers_after_success, faults.test_an_error_inside_a_200,
                 faults.test_damaged_etags_and_checksums, faults.test_something_says_200_to_everything):
        with_faults(bin_dir, test)
    with_faults(bin_dir, faults.chaos, 30, "1")


if __name__ == "__main__":
    atexit.register(faults.STACK.close)
    run(dict(globals()))
