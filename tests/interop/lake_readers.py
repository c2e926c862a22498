"""Layout `lake`: pyarrow, DuckDB and polars read typed columns without a cast, and see what was loaded.

What each typed value must be is worked out by tests/lib/typed_rows.py from the JSON that was sent; over
real Weaviate data, from the same export in layout `weaviate`.
"""

import base64
import io
import json
import pathlib
import re
import struct
import sys
import tempfile
import uuid

import duckdb
import polars
import pyarrow
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyiceberg.catalog.sql import SqlCatalog

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
import fixtures  # noqa: E402
from node import Node, check, equal, run  # noqa: E402
from typed_rows import PROPERTIES, compare, f32, load, make_rows, plain, typed  # noqa: E402


def readers(files):
    """Each reader's rows as dictionaries, in file order."""
    arrow = [row for f in files for row in pq.ParquetFile(f, page_checksum_verification=True).read().to_pylist()]
    names = [str(f) for f in files]
    duckdb.sql("set TimeZone = 'UTC'")
    duck = duckdb.sql(f"select * from read_parquet({names}, hive_partitioning = false)").to_arrow_table().to_pylist()
    polar = polars.read_parquet(names, hive_partitioning=False).to_dicts()
    return {"pyarrow": arrow, "duckdb": duck, "polars": polar}


def test_every_type_by_every_reader(bin_dir):
    node = Node(bin_dir, EXPORT_PARALLELISM=2)
    truth = load(node, "All", 2500)
    for id_type in ("string", "uuid"):
        equal(node.export(id_type, config={"layout": "lake", "idType": id_type})["status"], "SUCCESS")
        files = sorted(node.folder(id_type).glob("collection=All/part-*.parquet"))
        check(files, "files lie in collection=All/")
        equal(str(pq.ParquetFile(files[0]).schema_arrow.field("id").type), {"string": "string", "uuid": "extension<arrow.uuid>"}[id_type])
        for name, rows in readers(files).items():
            compare(name, rows, truth)
    node.close()


def told_and_derived(file):
    """The schema of the key ARROW:schema, and what pyarrow makes of the columns when the key is hidden."""
    told = pq.ParquetFile(file).metadata.metadata[b"ARROW:schema"]
    hidden = file.read_bytes().replace(b"ARROW:schema", b"HIDDEN:schem")
    derived = pq.ParquetFile(io.BytesIO(hidden)).schema_arrow
    keys = {k: v for k, v in derived.metadata.items() if k != b"HIDDEN:schem"}
    derived = derived.with_metadata(keys)
    return pyarrow.ipc.read_schema(pyarrow.py_buffer(base64.b64decode(told))), derived


def test_arrow_is_told_the_types_it_would_derive(bin_dir):
    node = Node(bin_dir)
    node.ok("POST", "/v1/schema", {"class": "Told", "properties": PROPERTIES, "vectorConfig": {
            "v": {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw"},
            "m": {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw",
                  "vectorIndexConfig": {"multivector": {"enabled": True}}}}})
    node.ok("POST", "/v1/objects", {"class": "Told", "id": str(uuid.UUID(int=1)), "properties": {"i": 1}, "vectors": {"v": [1, 2]}})
    for number, config in enumerate(({}, {"fieldIds": True}, {"idType": "uuid", "fieldIds": True}, {"vectorType": "float16"},
                                     {"timestampUnit": "ms"}, {"timestampUnit": "ns"}, {"columns": ["properties.oa"]})):
        equal(node.export(f"t{number}", config={"layout": "lake", **config})["status"], "SUCCESS")
        file = next(node.folder(f"t{number}").rglob("*.parquet"))
        told, derived = told_and_derived(file)
        check(told.equals(derived, check_metadata=True), config, str(told), str(derived))
        check(pq.read_schema(file).equals(derived, check_metadata=True), config)
        equal(pq.read_schema(file).metadata[b"collection"], b"Told")
    node.close()


def test_folders_are_partitions(bin_dir):
    node = Node(bin_dir)
    node.create_class("Parts", tenants=["t-1", "t_2"])
    node.insert("Parts", 30, tenant="t-1")
    node.insert("Parts", 20, tenant="t_2", first=100)
    node.create_class("Single")
    node.insert("Single", 7)
    node.export("parts", config={"layout": "lake"})
    folder = node.folder("parts")
    equal(sorted(str(f.relative_to(folder)) for f in folder.rglob("*.parquet")),
          ["collection=Parts/tenant=t-1/part-00000.parquet", "collection=Parts/tenant=t_2/part-00000.parquet",
           "collection=Single/part-00000.parquet"])
    table = ds.dataset(folder / "collection=Parts", partitioning="hive").to_table()
    equal(sorted(table.column("tenant").to_pylist()), ["t-1"] * 30 + ["t_2"] * 20)
    got = duckdb.sql(f"select collection, tenant, count(*) from read_parquet('{folder}/collection=Parts/**/*.parquet', "
                     "hive_partitioning = true, hive_types_autocast = 0) group by all order by all").fetchall()
    equal(got, [("Parts", "t-1", 30), ("Parts", "t_2", 20)])
    keys = pq.ParquetFile(folder / "collection=Parts/tenant=t-1/part-00000.parquet").metadata.metadata
    equal({k: keys[k] for k in (b"collection", b"tenant", b"timestamp_unit", b"sluice.layout")},
          {b"collection": b"Parts", b"tenant": b"t-1", b"timestamp_unit": b"us", b"sluice.layout": b"lake"})
    node.close()


def test_bounds_let_readers_skip_and_never_lose_a_row(bin_dir):
    node = Node(bin_dir)
    node.ok("POST", "/v1/schema", {"class": "Bounds", "properties": [
        {"name": "t", "dataType": ["text"]}, {"name": "n", "dataType": ["number"]}]})
    texts = ["é" * 40 + str(n % 9) for n in range(500)] + ["\U0010ffff" * 20, "a" * 64, "a" * 65, "\u007f" * 70, ""]
    node.ok("POST", "/v1/batch/objects", {"objects": [
        {"class": "Bounds", "id": str(uuid.UUID(int=n + 1)), "properties": {"t": t, "n": -0.0 if n % 2 else 0.0}}
        for n, t in enumerate(texts)]})
    node.export("bounds", config={"layout": "lake"})
    file = next(node.folder("bounds").rglob("*.parquet"))
    group = pq.ParquetFile(file).metadata.row_group(0)
    at = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    low, high = at["properties.t"].statistics, at["properties.n"].statistics
    check(not low.has_min_max, "nothing lies above the greatest text", low)
    equal((str(high.min), str(high.max)), ("-0.0", "0.0"))
    for text in set(texts):
        want = texts.count(text)
        equal(duckdb.execute(f"select count(*) from '{file}' where properties.t = ?", [text]).fetchall()[0][0], want, text[:9])
        equal(pq.read_table(file, filters=ds.field("properties", "t") == text).num_rows, want, text[:9])
    one = str(uuid.UUID(int=77))
    equal(duckdb.execute(f"select count(*) from '{file}' where id = ?", [one]).fetchall()[0][0], 1)
    node.close()


def test_names_that_differ_in_case_alone(bin_dir):
    node = Node(bin_dir)
    node.ok("POST", "/v1/schema", {"class": "Case", "properties": [{"name": "p", "dataType": ["text"]}],
            "vectorConfig": {k: {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw"} for k in ("x", "X")}})
    node.ok("POST", "/v1/objects", {"class": "Case", "id": str(uuid.UUID(int=1)), "vectors": {"x": [1, 2], "X": [3, 4]},
                                    "properties": {"p": "text"}})
    node.export("case", config={"layout": "lake"})
    for name, rows in readers([next(node.folder("case").rglob("*.parquet"))]).items():
        equal(rows[0]["properties"], {"p": "text"}, name)
        equal((rows[0]["vector_X"], rows[0]["vector_x__2"]), ([3, 4], [1, 2]), name)
    schema = json.loads((node.folder("case") / "_schema.json").read_text())
    equal(schema["classes"][0]["columns"], [{"column": "vector_X", "vector": "X"}, {"column": "vector_x__2", "vector": "x"},
                                            {"column": "properties.p", "property": "p"}])
    node.close()


def ids_of(file):
    """Path of each leaf -> field id, by Arrow's reading of the footer."""
    def walk(field, path):
        meta = field.metadata or {}
        yield ".".join(path + [field.name]), int(meta.get(b"PARQUET:field_id", 0))
        for i in range(field.type.num_fields):
            yield from walk(field.type.field(i), path + [field.name])
    return dict(pair for field in pq.ParquetFile(file).schema_arrow for pair in walk(field, []))


def test_iceberg_adds_the_files_as_they_are(bin_dir):
    node = Node(bin_dir)
    node.ok("POST", "/v1/schema", {"class": "Ice", "multiTenancyConfig": {"enabled": True}, "vectorConfig": {
        "v": {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw"}}, "properties": PROPERTIES})
    node.ok("POST", "/v1/schema/Ice/tenants", [{"name": "a"}, {"name": "b"}])
    sent = {t["id"]: {**t, "vectors": {"v": [1.5, n]}} for n, t in enumerate(make_rows(60))}
    for n, one in enumerate(sent.values()):
        node.ok("POST", "/v1/objects", {"class": "Ice", **one, "tenant": "ab"[n % 2]})
    node.export("ice", config={"layout": "lake"})
    files = sorted(node.folder("ice").rglob("*.parquet"))
    equal(len(files), 2)
    with tempfile.TemporaryDirectory(prefix="sluice-iceberg-") as folder:
        catalog = SqlCatalog("test", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}")
        catalog.create_namespace("lake")
        table = catalog.create_table("lake.ice", schema=pq.ParquetFile(files[0]).schema_arrow)
        table.add_files([f"file://{f}" for f in files])
        rows = table.scan().to_arrow().to_pylist()
    equal({r["id"]: r["vector_v"] for r in rows}, {i: o["vectors"]["v"] for i, o in sent.items()})
    node.close()


def test_field_ids_stay_while_a_class_grows(bin_dir):
    node = Node(bin_dir)
    node.ok("POST", "/v1/schema", {"class": "Grow", "properties": [{"name": "one", "dataType": ["text[]"]}]})
    node.insert("Grow", 3, properties={"one": ["x"]})
    node.export("none", config={"layout": "lake"})
    node.export("before", config={"layout": "lake", "fieldIds": True})
    node.ok("POST", "/v1/schema/Grow/properties", {"name": "a", "dataType": ["text"]})
    node.export("after", config={"layout": "lake", "fieldIds": True})
    none, before, after = (ids_of(next(node.folder(i).rglob("*.parquet"))) for i in ("none", "before", "after"))
    equal(set(none.values()), {0})
    equal({k: after[k] for k in before}, before)
    equal(sorted(set(after) - set(before)), ["properties.a"])
    equal(len(set(after.values()) - {0}), len(after), "ids are there, and no two are the same")
    node.close()


def test_exports_are_equal_byte_for_byte(bin_dir):
    """However many workers write them, and in however many files."""
    node = Node(bin_dir)
    node.create_class("Same")
    node.insert("Same", 4000, dims=256)
    node.stop()
    for layout in ("weaviate", "lake"):
        made = {}
        for workers in ("1", "4", "3"):
            dest = node.data / "exports" / f"{layout}{workers}"
            code, _, err = node.sluice("export", str(node.data), str(dest), "--id", "x", "--layout", layout,
                                       "--target-file-size", str(1 << 20), "-p", workers)
            equal(code, 0, err)
            made[workers] = {f.relative_to(dest): f.read_bytes() for f in dest.rglob("*.parquet")}
        check(len(made["1"]) >= 4, f"only {len(made['1'])} files")
        check(made["1"] == made["4"] == made["3"], f"{layout}: other workers make other bytes")
    node.close()


def test_what_is_not_known_is_told(bin_dir):
    node = Node(bin_dir)
    node.create_class("Known")
    for config, why in (({"layout": "delta"}, "config.layout should be one of [weaviate lake]"),
                        ({"colour": 1}, "config.colour is not known"), ([], "config must be an object"),
                        ({"timestampUnit": "s"}, "config.timestampUnit should be one of [ns us ms]")):
        status, reply = node.call("POST", "/v1/export/filesystem", {"id": "x", "file_format": "parquet", "config": config})[:2]
        equal(status, 422, str(reply))
        check(why in json.dumps(reply), reply)
    node.close()


def test_real_data_of_weaviate(bin_dir):
    """The same directory in both layouts; the seven documented columns are the truth of the typed ones."""
    scratch = fixtures.Scratch()
    node = Node(bin_dir)
    for folder in sorted((fixtures.root() / "real").iterdir()):
        if not (folder / "stopped.tar.zst").exists():
            continue
        data = scratch.sub("data")
        fixtures.unpack(folder / "stopped.tar.zst", data)
        source = data / "stopped" if (data / "stopped").is_dir() else data
        classes = json.loads((folder / "schema.json").read_text())
        classes = {c["class"]: c for c in classes["schema"]["classes"]}
        out = scratch.sub("out")
        for layout in ("weaviate", "lake"):
            code, _, errors = node.sluice("export", str(source), str(out), "--id", layout, "--layout", layout)
            equal(code, 0, errors)
        truth, seen = {}, {"pyarrow": set(), "duckdb": set(), "polars": set()}
        for file in (out / "weaviate").glob("*.parquet"):
            read = pq.ParquetFile(file)
            keys = read.metadata.metadata
            for row in read.read().to_pylist():
                truth[(keys[b"collection"].decode(), keys.get(b"tenant"), row["id"])] = row
        check(len(truth) > 1000, folder, len(truth))
        for file in (out / "lake").rglob("*.parquet"):
            keys = pq.ParquetFile(file).metadata.metadata
            name = keys[b"collection"].decode()
            for reader, rows in readers([file]).items():
                for row in rows:
                    row = {k: plain(v) for k, v in row.items()}
                    key = (name, keys.get(b"tenant"), str(uuid.UUID(bytes=row["id"])))
                    same_row(classes[name], row, truth[key])
                    seen[reader].add(key)
        equal(seen, {reader: set(truth) for reader in seen}, "rows of layout lake")
    node.close()
    scratch.close()


def same_row(schema, row, want):
    raw = want["vector"]
    equal(row["vector"], None if raw is None else list(struct.unpack(f"<{len(raw) // 4}f", raw)))
    for prefix, column in (("vector_", "named_vectors"), ("multi_vector_", "multi_vectors")):
        vectors = {k.removeprefix(prefix): v for k, v in row.items() if k.startswith(prefix) and v is not None}
        equal(vectors, {k: numbers(v) for k, v in json.loads(want[column] or b"{}").items()})
    equal((row["creation_time"], row["update_time"]), (want["creation_time"] // 1000, want["update_time"] // 1000))
    text = row["properties_json"]
    equal(text.encode() if isinstance(text, str) else text, want["properties"])
    kept = json.loads(row["properties_json"] or "{}") or {}
    for p in schema.get("properties") or []:
        equal(row["properties"][p["name"]], typed(p["dataType"][0], kept.get(p["name"]), p.get("nestedProperties")),
              f"{schema['class']}.{p['name']}")


def numbers(value):
    return [numbers(v) for v in value] if isinstance(value, list) else f32(value)


run(dict(globals()))
