"""Manifests and `sluice verify`: what is told of an export agrees with its files, and every damage is told."""

import hashlib
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
import pyarrow.parquet as pq  # noqa: E402
from node import Node, check, equal, run  # noqa: E402


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


run(dict(globals()))
