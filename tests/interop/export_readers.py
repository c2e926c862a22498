"""Three independent readers see exactly what was loaded: pyarrow, DuckDB and polars.

The truth is made here and sent over REST; what the readers return is compared value by value: ids,
times, vector bits, named and multi-vector numbers, properties as JSON. An order-free hash over all
rows must be equal for truth and every reader.
"""

import hashlib
import json
import pathlib
import struct
import sys

import duckdb
import polars
import pyarrow.parquet as pq

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
from node import Node, check, equal, run  # noqa: E402

NUMBERS = [0.0, -0.0, 1.0, 0.1, -2.5, 1e-5, 3.4e38, 1e-45, 16777216.0, 0.33333334, 1e6, 999999.0, -1e-4]
TEXTS = ["", "plain", 'quote " and \\ slash', "Grüße 漢字 😀", "<b>&amp;</b>", "tab\tnew\nline\u0001", "\u2028 \u2029",
         "x" * 70000]


def f32(values):
    return [struct.unpack("<f", struct.pack("<f", v))[0] for v in values]


def uuid_of(n):
    return f"{n * 2654435761 % 2**32:08x}-0000-4000-8000-{n:012x}"


def rows():
    for n in range(3000):
        properties = {"n": n, "text": TEXTS[n % len(TEXTS)] if n % 500 < 8 else f"row {n}", "list": [str(n), "ü"],
                      "number": NUMBERS[n % len(NUMBERS)], "flag": n % 2 == 0, "nested": {"a": n, "b": ["x", "y"]}}
        one = {"id": uuid_of(n), "properties": properties, "vectors": {}}
        if n % 3 != 2:
            one["vectors"]["single"] = f32([NUMBERS[(n + i) % len(NUMBERS)] for i in range(16)])
        if n % 5 == 0:
            one["vectors"]["other"] = f32([n / 7, -n / 3, 0.5])
        if n % 4 == 0:
            one["vectors"]["many"] = [f32([i / 3, n]) for i in range(n % 3 + 1)]
        yield one


def canonical(value):
    """JSON text that does not depend on key order or number spelling."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def digest(table):
    total = 0
    for row in table:
        total += int.from_bytes(hashlib.sha256("\0".join(row).encode("utf-8", "surrogatepass")).digest()[:16], "big")
    return total % 2**128


def as_numbers(value):
    if isinstance(value, list):
        return [as_numbers(v) for v in value]
    return struct.unpack("<f", struct.pack("<f", value))[0]


def vectors_of(blob):
    return {} if blob is None else {k: as_numbers(v) for k, v in json.loads(bytes(blob), parse_int=float).items()}


def normalise(properties):
    """What Weaviate keeps of a number: a double."""
    return json.loads(json.dumps(properties), parse_int=float)


def truth_rows(truth, times):
    for one in truth:
        named = {k: v for k, v in one["vectors"].items() if k != "many"}
        multi = {k: v for k, v in one["vectors"].items() if k == "many"}
        yield (one["id"], str(times[one["id"]][0]), str(times[one["id"]][1]), canonical(named), canonical(multi),
               canonical(normalise(one["properties"])))


def reader_rows(columns):
    for uid, created, updated, vector, named, multi, properties in columns:
        equal(vector, None, "vector of a class with named vectors")
        yield (uid, str(created), str(updated), canonical(vectors_of(named)), canonical(vectors_of(multi)),
               canonical(json.loads(bytes(properties), parse_int=float)))


def read_all(files):
    """name -> rows of the seven columns, by each reader."""
    names = ["id", "creation_time", "update_time", "vector", "named_vectors", "multi_vectors", "properties"]
    listed = ", ".join(names)
    arrow = [row for f in files for row in zip(*[pq.ParquetFile(f, page_checksum_verification=True).read()
                                                 .column(c).to_pylist() for c in names])]
    duck = duckdb.sql(f"select {listed} from read_parquet({[str(f) for f in files]})").fetchall()
    polar = polars.read_parquet([str(f) for f in files], columns=names).select(names).rows()
    return {"pyarrow": arrow, "duckdb": duck, "polars": polar}


def test_every_reader_sees_what_was_loaded(bin_dir):
    node = Node(bin_dir, EXPORT_PARALLELISM=2)
    none = {"vectorizer": {"none": {}}}
    node.ok("POST", "/v1/schema", {"class": "All", "vectorConfig": {
        "single": {**none, "vectorIndexType": "hnsw"}, "other": {**none, "vectorIndexType": "flat"},
        "many": {**none, "vectorIndexType": "hnsw", "vectorIndexConfig": {"multivector": {"enabled": True}}}},
        "properties": [{"name": "nested", "dataType": ["object"], "nestedProperties": [
            {"name": "a", "dataType": ["int"]}, {"name": "b", "dataType": ["text[]"]}]}]})
    truth = list(rows())
    times = {}
    for start in range(0, len(truth), 500):
        for one in node.ok("POST", "/v1/batch/objects", {"objects": [{"class": "All", **t} for t in truth[start:start + 500]]}):
            equal(one["result"]["status"], "SUCCESS", str(one.get("result")))
            times[one["id"]] = (one["creationTimeUnix"] * 1_000_000, one["lastUpdateTimeUnix"] * 1_000_000)
    equal(node.export("all")["status"], "SUCCESS")
    files = sorted(node.folder("all").glob("*.parquet"))
    want = digest(truth_rows(truth, times))
    for name, columns in read_all(files).items():
        equal(len(columns), len(truth), f"rows by {name}")
        check(digest(reader_rows(columns)) == want, f"{name} does not return what was loaded")
    node.close()


def test_primary_vectors_are_raw_little_endian_floats(bin_dir):
    node = Node(bin_dir)
    node.ok("POST", "/v1/schema", {"class": "Old", "vectorizer": "none", "vectorIndexType": "hnsw"})
    vectors = {uuid_of(n): f32([NUMBERS[(n + i) % len(NUMBERS)] for i in range(8)]) for n in range(200)}
    node.ok("POST", "/v1/batch/objects", {"objects": [{"class": "Old", "id": i, "vector": v} for i, v in vectors.items()]})
    node.export("old")
    files = sorted(node.folder("old").glob("*.parquet"))
    for name, columns in read_all(files).items():
        got = {r[0]: list(struct.unpack(f"<{len(r[3]) // 4}f", bytes(r[3]))) for r in columns}
        equal(got, vectors, name)
        check(all(r[4] is None and r[5] is None for r in columns), "named and multi are NULL")
    node.close()


def test_files_say_what_they_are(bin_dir):
    node = Node(bin_dir)
    node.create_class("Meta", tenants=["t-1"])
    node.insert("Meta", 100, tenant="t-1")
    node.export("meta")
    file = pq.ParquetFile(node.folder("meta") / "Meta_t-1_0000.parquet")
    keys = {k.decode(): v.decode() for k, v in file.metadata.metadata.items()}
    equal(keys["collection"], "Meta")
    equal(keys["tenant"], "t-1")
    equal(keys["timestamp_unit"], "ns")
    check(file.metadata.created_by.startswith("sluice version "), file.metadata.created_by)
    ids = file.read(columns=["id"]).column("id").to_pylist()
    equal(ids, sorted(ids), "order of rows")
    group = file.metadata.row_group(0)
    equal([group.column(i).path_in_schema for i in range(7)],
          ["id", "creation_time", "update_time", "vector", "named_vectors", "multi_vectors", "properties"])
    equal({group.column(i).compression for i in range(7)}, {"ZSTD"})
    stats = group.column(0).statistics
    equal((stats.min, stats.max, stats.null_count), (ids[0], ids[-1], 0))
    equal([str(file.schema_arrow.field(i).type) for i in range(7)],
          ["string", "int64", "int64", "binary", "binary", "binary", "binary"])
    node.close()


def test_milliseconds_on_request(bin_dir):
    node = Node(bin_dir, SLUICE_TIMESTAMP_UNIT="ms")
    node.create_class("Ms")
    node.insert("Ms", 3)
    node.export("ms")
    file = pq.ParquetFile(node.folder("ms") / next(node.folder("ms").glob("*.parquet")).name)
    equal(file.metadata.metadata[b"timestamp_unit"], b"ms")
    check(all(10**12 < t < 10**13 for t in file.read().column("creation_time").to_pylist()))
    node.close()


def test_two_exports_of_the_same_data_are_equal_byte_for_byte(bin_dir):
    node = Node(bin_dir)
    node.create_class("Same")
    node.insert("Same", 4000, dims=64)
    node.export("one")
    node.export("two")
    for path in node.folder("one").glob("*.parquet"):
        equal(path.read_bytes() == (node.folder("two") / path.name).read_bytes(), True, path.name)
    node.close()


run(dict(globals()))
