"""Manifests and `sluice verify`: what is told of an export agrees with its files, and every damage is told."""

import hashlib
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
import pyarrow.parquet as pq  # noqa: E402
import stores  # noqa: E402
from fault_proxy import FaultProxy, Hang, s3_answer  # noqa: E402
from node import Node, check, equal, run  # noqa: E402

STATES = pathlib.Path(__file__).parents[1] / "data/weaviate/states"
# Written by a server that gave two shards one name (tests/data/weaviate/README.md): rows are lost.
COLLIDED = STATES / "v1.39.0/tenants/export-live/tenants-shared"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def loaded(bin_dir, **env):
    """A node with a class without tenants, one with, and one of named vectors."""
    node = Node(bin_dir, **env)
    node.create_class("A")
    node.insert("A", 500)
    node.create_class("Ten", tenants=["one", "two", "void"])
    node.insert("Ten", 30, tenant="one")
    node.insert("Ten", 20, tenant="two")
    return node


def ids_of(path):
    table = pq.ParquetFile(path).read(columns=["id"])
    return [v if isinstance(v, str) else str(v) for v in table["id"].to_pylist()]


def check_manifest(folder):
    """The manifest against the files: hashlib and pyarrow know nothing of it."""
    manifest = json.loads((folder / "_manifest.json").read_text())
    equal(manifest["formatVersion"], 1)
    equal(sorted(f["path"] for f in manifest["files"]),
          sorted(str(p.relative_to(folder)) for p in folder.rglob("*.parquet")))
    for f in manifest["files"]:
        path = folder / f["path"]
        equal(f["bytes"], path.stat().st_size, path)
        equal(f["sha256"], sha256(path), path)
        file = pq.ParquetFile(path)
        equal(f["rows"], file.metadata.num_rows, path)
        equal(f["rowGroups"], file.metadata.num_row_groups, path)
        keys = {k.decode(): v.decode() for k, v in file.metadata.metadata.items()}
        equal(keys["sluice.row_hash"], f["rowHash"], path)
        equal(keys["collection"], f["collection"], path)
        equal(keys.get("tenant"), f.get("tenant"), path)
        ids = ids_of(path)
        equal((f["firstId"], f["lastId"]), (ids[0], ids[-1]), path)
        check(f["range"].get("from", "") <= ids[0] and ids[-1] < f["range"].get("below", "g"), f["range"])
    for c in manifest["collections"]:
        files = [f for f in manifest["files"] if f["collection"] == c["name"]]
        equal((c["files"], c["rows"], c["bytes"]),
              (len(files), sum(f["rows"] for f in files), sum(f["bytes"] for f in files)))
        equal(int(c["rowHash"], 16), sum(int(f["rowHash"], 16) for f in files) % 2**64)
    equal(manifest["total"]["rows"], sum(f["rows"] for f in manifest["files"]))
    equal(int(manifest["total"]["rowHash"], 16), sum(int(f["rowHash"], 16) for f in manifest["files"]) % 2**64)
    equal(manifest["schemaSha256"], sha256(folder / "_schema.json"))
    equal((folder / "_SUCCESS").read_text(), "".join(
        f"{sha256(folder / name)}  {name}\n" for name in ("_manifest.json", "_schema.json")), "as sha256sum prints it")
    return manifest


def test_manifest_and_schema_of_both_layouts(bin_dir):
    node = loaded(bin_dir)
    hashes = []
    for layout in ("weaviate", "lake"):
        equal(node.export(layout, config={"layout": layout})["status"], "SUCCESS")
        manifest = check_manifest(node.folder(layout))
        equal((manifest["layout"], manifest["source"], manifest["id"]), (layout, "sluice", layout))
        void = next(s for c in manifest["collections"] if c["name"] == "Ten" for s in c["shards"] if s["name"] == "void")
        equal(void, {"name": "void", "skipReason": "no data"})
        hashes.append({(c["name"], s["name"]): s.get("rowHash") for c in manifest["collections"] for s in c["shards"]})
        schema = json.loads((node.folder(layout) / "_schema.json").read_text())
        equal((schema["formatVersion"], schema["layout"]), (1, layout))
        equal([c["name"] for c in schema["classes"]], ["A", "Ten"])
        for c in schema["classes"]:
            equal(c["class"], node.ok("GET", f"/v1/schema/{c['name']}"), "the class as GET tells it")
        check("tenants" not in schema["classes"][0])
        equal(schema["classes"][1]["tenants"], [{"name": n, "status": "HOT"} for n in ("one", "two", "void")])
    equal(hashes[0], hashes[1], "hashes of rows do not depend on the layout")
    node.close()


def test_row_hashes_do_not_depend_on_cuts_and_tell_a_change(bin_dir):
    node = loaded(bin_dir)
    node.insert("A", 120000, first=1000)
    totals = []
    for parallelism in (1, 2):
        node.stop()
        node.env["EXPORT_PARALLELISM"] = str(parallelism)
        node.start()
        node.export(f"p{parallelism}")
        manifest = check_manifest(node.folder(f"p{parallelism}"))
        totals.append((manifest["total"]["files"], manifest["total"]["rowHash"]))
    check(totals[0][0] < totals[1][0], "more files", totals)
    equal(totals[0][1], totals[1][1])
    node.insert("A", 1, properties={"changed": 1})
    node.export("after")
    after = check_manifest(node.folder("after"))["total"]
    equal((after["rows"], after["rowHash"] != totals[0][1]), (120550, True))
    node.close()


def test_without_manifest_files_are_those_of_weaviate(bin_dir):
    node = loaded(bin_dir, SLUICE_MANIFEST="off")
    node.export("off")
    equal(sorted(p.name for p in node.folder("off").iterdir() if p.suffix != ".parquet"),
          ["export_metadata.json", "node_node1_status.json"])
    for path in node.folder("off").glob("*.parquet"):
        keys = {k.decode() for k in pq.ParquetFile(path).metadata.metadata if k != b"ARROW:schema"}
        check(keys <= {"collection", "tenant", "timestamp_unit"}, keys)
    node.export("on", config={"manifest": True})
    check_manifest(node.folder("on"))
    node.close()


def verify(node, place, *options):
    code, out, err = node.sluice("verify", str(place), "--json", "--parallelism", "1", *options)
    check(out, code, err)
    equal(node.sluice("verify", str(place), "--json", "-p", "8", *options), (code, out, err), "by many workers")
    doc = json.loads(out)
    equal((doc["status"], code), ("good", 0) if not doc["problems"] else ("bad", 1), doc["problems"])
    return doc


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def swap(one, two):
    a, b = one.read_bytes(), two.read_bytes()
    one.write_bytes(b)
    two.write_bytes(a)


def rewrite(folder, change):
    """The manifest by someone who makes the checksums anew."""
    manifest = json.loads((folder / "_manifest.json").read_text())
    change(manifest, {f["path"]: f for f in manifest["files"]})
    (folder / "_manifest.json").write_text(json.dumps(manifest))
    (folder / "_SUCCESS").write_text("".join(
        f"{sha256(folder / name)}  {name}\n" for name in ("_manifest.json", "_schema.json")))


def edit(change):
    return lambda folder: rewrite(folder, change)


ONE, TWO = "Ten_one_0000.parquet", "Ten_two_0000.parquet"
DAMAGES = [  # what is done; which words are told
    (lambda d: flip(d / ONE, 100), [f"{ONE}: SHA-256: the manifest says "]),
    (lambda d: flip(d / ONE, -1), [f"{ONE}: SHA-256: the manifest says "]),
    (lambda d: (d / ONE).write_bytes((d / ONE).read_bytes()[:-9]), [f"{ONE}: bytes: the manifest says "]),
    (lambda d: (d / ONE).write_bytes(b""), [f"{ONE}: bytes: the manifest says "]),
    (lambda d: (d / ONE).unlink(), [f"{ONE}: the manifest names it, it is not there"]),
    (lambda d: shutil.copy(d / ONE, d / "Ten_one_0001.parquet"), ["Ten_one_0001.parquet: not in the manifest"]),
    (lambda d: swap(d / ONE, d / TWO), [f"{ONE}: bytes: the manifest says ", f"{TWO}: bytes: the manifest says "]),
    (lambda d: (d / "_SUCCESS").unlink(), ["_SUCCESS: not there"]),
    (lambda d: (d / "_schema.json").unlink(), ["_schema.json: _SUCCESS names it, it is not there"]),
    (lambda d: flip(d / "_schema.json", 40), ["_schema.json: its SHA-256 is not the one in _SUCCESS"]),
    (lambda d: flip(d / "_SUCCESS", 3), ["_manifest.json: its SHA-256 is not the one in _SUCCESS"]),
    (lambda d: (d / "_manifest.json").write_text("{"),
     ["_manifest.json: its SHA-256 is not the one in _SUCCESS", "_manifest.json: a JSON object was expected"]),
    (lambda d: (d / "_manifest.json").unlink(), ["_manifest.json: not there", f"{ONE}: it was written with a manifest"]),
    (lambda d: (d / "export_metadata.json").unlink(), ["export_metadata.json: not there"]),
    (lambda d: (d / "export_metadata.json").write_text('{"status":"FAILED"}'),
     ["export_metadata.json: status SUCCESS was expected, found FAILED"]),
    (edit(lambda m, f: m["files"].remove(f[ONE])),
     ["_manifest.json: total says 3 files, 550 rows", "_manifest.json: total says rowHash", f"{ONE}: not in the manifest"]),
    (edit(lambda m, f: m["files"].append(f[ONE])), [f"{ONE}: the manifest names it twice", "_manifest.json: total says 3 files"]),
    (edit(lambda m, f: m.pop("files")), ["_manifest.json: total says 3 files, 550 rows"]),
    (edit(lambda m, f: m.pop("total")), ["_manifest.json: total says 0 files, 0 rows"]),
    (edit(lambda m, f: f[ONE].pop("sha256")), [f"{ONE}: its line in the manifest has no text sha256"]),
    (edit(lambda m, f: f[ONE].pop("path")), [": its line in the manifest has no text path"]),
    (edit(lambda m, f: f[ONE].update(rows=-1)), [f"{ONE}: its line in the manifest has no count rows"]),
    (edit(lambda m, f: f[ONE].update(bytes=1e9)), [f"{ONE}: its line in the manifest has no count bytes"]),
    (edit(lambda m, f: f[ONE].update(rows=31)), [f"{ONE}: rows of the footer: the manifest says 31, found "]),
    (edit(lambda m, f: m["files"].append(7)), [": its line in the manifest has no text path"]),
    (edit(lambda m, f: m.update(formatVersion="1")), ["_manifest.json: formatVersion 1 was expected, found 0"]),
]


def test_every_damage_is_told(bin_dir):
    node = loaded(bin_dir)
    node.export("x")
    good = node.folder("x")
    for deep in ([], ["--deep"]):
        doc = verify(node, good, *deep)
        equal((doc["problems"], doc["rows"], doc["manifest"], doc["deep"]), ([], 550, True, bool(deep)))
        equal([f["status"] for f in doc["files"]], ["good"] * 3)
    for n, (damage, words) in enumerate(DAMAGES):
        bad = node.data / f"bad-{n}"
        shutil.copytree(good, bad)
        damage(bad)
        problems = verify(node, bad)["problems"]
        for word in words:
            check(any(p.startswith(word) for p in problems), n, word, problems)
    code, _, err = node.sluice("verify", str(node.data / "nothing"))
    check(code == 1 and "there is no export" in err, code, err)
    equal(node.sluice("verify")[0], 2, "usage")
    equal(node.sluice("verify", str(good), "-p", "many")[0], 2, "usage")
    code, out, _ = node.sluice("verify", str(node.data / "bad-4"))
    equal((code, out.splitlines()[-1]), (1, "bad: 3 files, 520 rows, 1 problems"))
    node.close()


def test_deep_reads_both_layouts_and_finds_a_wrong_hash(bin_dir):
    node = loaded(bin_dir)
    node.create_class("Named", vectorConfig={"a": {"vectorizer": {"none": {}}}, "b": {"vectorizer": {"none": {}}}})
    node.ok("POST", "/v1/batch/objects", {"objects": [
        {"class": "Named", "properties": {"t": "ü\n"}, "vectors": {"a": [0.1, -2e-9, 3e20], "b": [n]}} for n in range(9)]})
    for layout in ("weaviate", "lake"):
        node.export(layout, config={"layout": layout})
        equal(verify(node, node.folder(layout), "--deep")["problems"], [])
    # Someone who makes all checksums anew, but not the hash of the rows, is found by --deep.
    folder = node.folder("weaviate")
    def exchange(_, lines):
        swap(folder / ONE, folder / TWO)
        for path, f in lines.items():
            f["bytes"], f["sha256"] = (folder / path).stat().st_size, sha256(folder / path)
        lines[ONE]["tenant"], lines[TWO]["tenant"] = "two", "one"
        lines[ONE]["rows"], lines[TWO]["rows"] = 20, 30
        lines[ONE]["rowHash"], lines[TWO]["rowHash"] = lines[TWO]["rowHash"], lines[ONE]["rowHash"]

    rewrite(folder, exchange)
    equal(verify(node, folder)["problems"], [])
    problems = verify(node, folder, "--deep")["problems"]
    check(len(problems) == 2 and all("first id" in p for p in problems), problems)
    node.close()


def test_exports_without_manifest_are_counted(bin_dir):
    node = loaded(bin_dir, SLUICE_MANIFEST="off")
    node.export("x")
    doc = verify(node, node.folder("x"), "--deep")
    equal((doc["problems"], doc["manifest"], doc["rows"]), ([], False, 550))
    (node.folder("x") / ONE).unlink()
    equal(verify(node, node.folder("x"))["problems"],
          ["collection Ten: export_metadata.json says 50 rows, its files have 20"])
    flip(node.folder("x") / TWO, -1)
    check(any(p.startswith(f"{TWO}: ") for p in verify(node, node.folder("x"))["problems"]))
    node.close()


def test_exports_of_a_real_weaviate_are_held_against_their_record(bin_dir):
    node = Node(bin_dir)
    places = sorted(p.parent for p in STATES.rglob("export_metadata.json"))
    check(len(places) > 10 and COLLIDED in places, places)
    for place in places:
        files = [pq.ParquetFile(p).metadata.num_rows for p in place.glob("*.parquet")]
        doc = verify(node, place, "--deep")
        equal((doc["manifest"], doc["rows"], len(doc["files"])), (False, sum(files), len(files)), place)
        lost = ["collection Coll_A: export_metadata.json says 43 rows, its files have 13"] if place == COLLIDED else []
        equal(doc["problems"], lost, place)
    node.close()


def test_damage_to_an_export_of_a_real_weaviate_is_told(bin_dir):
    node = Node(bin_dir)
    good = STATES / "v1.39.0/options/export-clean/options-shared"
    one = "OptMT_t0-0_0000.parquet"
    rows = pq.ParquetFile(good / one).metadata.num_rows
    for n, (damage, deep, word) in enumerate((
            (lambda d: (d / one).unlink(), [], "collection OptMT: export_metadata.json says "),
            (lambda d: flip(d / one, -1), [], f"{one}: "),
            (lambda d: flip(d / one, 60), ["--deep"], f"{one}: "),
            (lambda d: (d / "export_metadata.json").unlink(), [], "export_metadata.json: not there"))):
        bad = node.data / f"bad-{n}"
        shutil.copytree(good, bad)
        damage(bad)
        problems = verify(node, bad, *deep)["problems"]
        check(rows > 0 and any(p.startswith(word) for p in problems), n, word, problems)
    node.close()


def test_a_place_that_is_no_export_is_told_in_a_sentence(bin_dir):
    node = loaded(bin_dir)
    empty = node.data / "empty"
    (empty / "below").mkdir(parents=True)
    no_export = "there is no export: no _manifest.json, no export_metadata.json, no file *.parquet"
    equal(node.sluice("verify", str(empty)), (1, "", f"sluice: {empty}: {no_export}\n"))
    (empty / "below/notes.txt").write_text("nothing")
    equal(node.sluice("verify", str(empty)), (1, "", f"sluice: {empty}: {no_export}\n"))
    for name, layout in (("a", "weaviate"), ("b", "lake")):
        equal(node.export(name, config={"layout": layout})["status"], "SUCCESS")
    parent = node.folder("a").parent
    code, out, err = node.sluice("verify", str(parent))
    equal((code, out, err), (1, "", f"sluice: {parent}: holds exports, name one of them: a, b\n"))
    # Files without any record are still looked at.
    for name in ("export_metadata.json", "_manifest.json"):
        (node.folder("a") / name).unlink()
    check("export_metadata.json: not there, every export has one" in verify(node, node.folder("a"))["problems"])
    node.close()


def test_exports_in_a_store_are_verified_there(bin_dir):
    with stores.versitygw() as store:
        node = loaded(bin_dir, **store.env, EXPORT_DEFAULT_PATH="")
        node.ok("POST", "/v1/export/s3", {"id": "x", "file_format": "parquet"})
        code, out, err = node.sluice("wait", "x", "--backend", "s3", "--json")
        equal((code, json.loads(out)["status"]), (0, "SUCCESS"), err)
        place, client = f"{store.place}/x", store.client()
        equal(verify(node, place, "--deep")["problems"], [])
        good = client.get_object(Bucket=stores.BUCKET, Key=f"x/{ONE}")["Body"].read()
        for key, data, word in ((ONE, good[:-1] + b"2", f"{ONE}: SHA-256: "), (ONE, good[1:], f"{ONE}: bytes: "),
                                ("more.parquet", good, "more.parquet: not in the manifest")):
            client.put_object(Bucket=stores.BUCKET, Key=f"x/{key}", Body=data)
            problems = verify(node, place)["problems"]
            check(any(p.startswith(word) for p in problems), word, problems)
        for key, word in ((ONE, f"{ONE}: the manifest names it"), ("_SUCCESS", "_SUCCESS: not there")):
            client.delete_object(Bucket=stores.BUCKET, Key=f"x/{key}")
            problems = verify(node, place)["problems"]
            check(any(p.startswith(word) for p in problems), word, problems)
        node.close()


def test_a_store_that_cannot_be_read_ends_it_at_once(bin_dir):
    with stores.versitygw() as store, FaultProxy(store.port) as proxy:
        node = loaded(bin_dir, **store.env, EXPORT_DEFAULT_PATH="")
        node.ok("POST", "/v1/export/s3", {"id": "x", "file_format": "parquet"})
        equal(json.loads(node.sluice("wait", "x", "--backend", "s3", "--json")[1])["status"], "SUCCESS")
        node.env["BACKUP_S3_ENDPOINT"] = f"127.0.0.1:{proxy.port}"
        place, hangs = f"{store.place}/x", threading.Event()

        def hang(request):
            if request.name == "GetObject" and request.path.rpartition("/")[2].startswith("A_"):
                hangs.set()
                return Hang()
            return None

        def deny(request):
            return s3_answer(403, "AccessDenied") if request.path.endswith(TWO) else None

        def deny_then(request):
            if request.path.endswith(TWO):
                check(hangs.wait(60))
            return deny(request)

        proxy.rules[:] = [deny]
        code, out, err = node.sluice("verify", place, "--json", "-p", "1")
        equal((code, out), (1, ""), err)
        check(err.startswith(f"sluice: {TWO}: ") and "AccessDenied" in err, err)
        # A worker that waits for the store does not hold up the others' failure.
        proxy.rules[:], begun = [hang, deny_then], time.monotonic()
        equal(node.sluice("verify", place, "--json", "-p", "8"), (1, "", err))
        check(time.monotonic() - begun < 15, "seconds until it ended", time.monotonic() - begun)
        hangs.clear()
        proxy.rules[:] = [hang]
        # A shell that runs the tests in the background has its children ignore SIGINT.
        command = ["env", "--default-signal=INT", node.bin_dir / "sluice", "verify", place]
        with subprocess.Popen(command, env=node.env, stdout=subprocess.PIPE) as left:
            check(hangs.wait(60))
            left.send_signal(signal.SIGINT)
            equal((left.wait(15), left.stdout.read()), (-signal.SIGINT, b""))
        node.close()


def test_typed_files_lie_in_folders_of_every_store(bin_dir):
    for backend, start in (("s3", stores.versitygw), ("gcs", stores.fake_gcs), ("azure", stores.azurite)):
        with start() as store:
            node = loaded(bin_dir, **store.env, EXPORT_DEFAULT_PATH="")
            node.ok("POST", f"/v1/export/{backend}", {"id": "typed", "file_format": "parquet", "config": {"layout": "lake"}})
            code, out, err = node.sluice("wait", "typed", "--backend", backend, "--json")
            equal((code, json.loads(out)["status"]), (0, "SUCCESS"), f"{backend} {err}")
            told = verify(node, f"{store.place}/typed", "--deep")
            equal(told["problems"], [], backend)
            check(all(f["path"].startswith("collection=") for f in told["files"]), backend, told)
            node.close()


run(dict(globals()))
