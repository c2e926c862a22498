"""Options of an export, every pair of two values together: three readers see the same rows, less what
was left out.

Truth is the export without options in layout `weaviate`, which export_readers.py holds against what
was loaded.
"""

import datetime
import itertools
import json
import pathlib
import struct
import sys
import uuid

import duckdb
import numpy
import polars
import pyarrow.parquet as pq

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
from node import Node, check, equal, run  # noqa: E402

OPTIONS = {
    "layout": ["weaviate", "lake"],
    "compression": ["fast", "small", "snappy", "lz4_raw", "none"],
    "compressionLevel": [None, 1, 9, 19],
    "vectorType": [None, "float16"],
    "idType": [None, "uuid"],
    "timestampUnit": [None, "ns", "us", "ms"],
    "columns": [None, "some", "one"],
    "where": [None, "half"],
    "targetFileBytes": [None, 1 << 20],
    "bloomFilter": [None, True],
}
SOME = {"weaviate": ["update_time", "named_vectors", "properties"],
        "lake": ["update_time", "vector_v", "properties.n", "properties.text"]}
ONE = {"weaviate": ["creation_time"], "lake": ["properties"]}
PER_US = {"ns": 1000, "us": 1, "ms": 0.001}


def pairwise(options):
    """Rows of values until every pair of values of two options has been together; greedy."""
    names = list(options)
    wanted = {((a, x), (b, y)) for a, b in itertools.combinations(names, 2) for x in map(str, options[a])
              for y in map(str, options[b])}
    every = [dict(zip(names, values)) for values in itertools.product(*options.values())]
    every = [one for one in every if is_allowed(one)]
    pairs = [set(itertools.combinations([(k, str(v)) for k, v in one.items()], 2)) & wanted for one in every]
    wanted = set().union(*pairs)
    while wanted:
        best = max(range(len(every)), key=lambda i: len(pairs[i] & wanted))
        wanted -= pairs[best]
        yield every[best]


def is_allowed(one):
    return ((one["vectorType"] is None and one["idType"] is None) or one["layout"] == "lake") and (
        one["compressionLevel"] is None or one["compression"] == "small")


def load(node):
    node.ok("POST", "/v1/schema", {"class": "Opt", "vectorConfig": {"v": {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw"}},
                                   "properties": [{"name": "n", "dataType": ["int"]}, {"name": "text", "dataType": ["text"]}]})
    random = numpy.random.default_rng(7)
    for start in range(0, 2000, 500):
        objects = [{"class": "Opt", "id": str(uuid.UUID(int=n * 2654435761 << 80 | n)),
                    "vectors": {"v": [float(f) for f in random.standard_normal(256, dtype="float32")]},
                    "properties": {"n": n, "text": f"row {n} " * (n % 40)}} for n in range(start, start + 500)]
        for one in node.ok("POST", "/v1/batch/objects", {"objects": objects}):
            equal(one["result"]["status"], "SUCCESS", str(one.get("result")))


def truth_of(node):
    node.export("truth")
    rows = {}
    for file in node.folder("truth").glob("*.parquet"):
        for row in pq.read_table(file).to_pylist():
            rows[row["id"]] = row
    return rows


def as_half(vector):
    return numpy.array(vector, dtype="float32").astype("float16").astype("float32").tolist()


def expected(one, truth, middle):
    """id -> the columns of a row, times in the unit that was asked for."""
    lake = one["layout"] == "lake"
    unit = one["timestampUnit"] or ("us" if lake else "ns")
    for row in truth.values():
        if one["where"] and row["update_time"] < middle:
            continue
        vector = [struct.unpack("<f", struct.pack("<f", f))[0] for f in json.loads(row["named_vectors"])["v"]]
        times = {k: int(row[k] // 1000 * PER_US[unit]) for k in ("creation_time", "update_time")}
        if lake:
            properties = json.loads(row["properties"])
            made = {"id": row["id"], **times, "vector": None,
                    "vector_v": as_half(vector) if one["vectorType"] else vector,
                    "properties": {"n": properties["n"], "text": properties["text"]}, "properties_json": row["properties"]}
        else:
            made = {**row, **times}
        wanted = one["columns"] and ["id"] + {"some": SOME, "one": ONE}[one["columns"]][one["layout"]]
        if wanted:
            tops = {w.split(".")[0] for w in wanted}
            made = {k: v for k, v in made.items() if k in tops}
        yield row["id"], made


def seen(row, unit):
    """A reader's row in the form of expected()."""
    made = {}
    for name, value in row.items():
        if isinstance(value, datetime.datetime):
            us = (value - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(microseconds=1)
            value = int(us * PER_US[unit])
        if isinstance(value, (uuid.UUID, bytes)) and name == "id":
            value = str(uuid.UUID(bytes=value) if isinstance(value, bytes) else value)
        if name == "properties_json" and isinstance(value, str):
            value = value.encode()
        made[name] = value
    return made["id"], made


def test_bloom_filters_exclude_what_is_not_there(bin_dir):
    """DuckDB probes them: no id that is there is excluded, and nearly all that are not."""
    node = Node(bin_dir, EXPORT_PARALLELISM=1)
    node.create_class("Bloom")
    ids = node.insert("Bloom", 3000)
    for layout in ("weaviate", "lake"):
        node.export(layout, config={"layout": layout, "bloomFilter": True})
        file = next(node.folder(layout).rglob("*.parquet"))

        def excluded(key):
            return all(row[0] for row in duckdb.sql(
                f"select bloom_filter_excludes from parquet_bloom_probe('{file}', 'id', '{key}')").fetchall())

        equal([i for i in ids if excluded(i)], [], layout)
        absent = sum(excluded(str(uuid.uuid5(uuid.NAMESPACE_URL, str(n)))) for n in range(300))
        check(absent >= 285, f"{layout}: {absent} of 300 absent ids are excluded")
        chunk = duckdb.sql(f"select bloom_filter_offset, bloom_filter_length from parquet_metadata('{file}') "
                           "where path_in_schema = 'id'").fetchall()
        check(all(at > 0 and size >= 4096 for at, size in chunk), chunk)
    node.close()


def test_every_pair_of_options(bin_dir):
    node = Node(bin_dir, EXPORT_PARALLELISM=1)
    load(node)
    truth = truth_of(node)
    times = sorted(row["update_time"] for row in truth.values())
    middle = times[len(times) // 2]
    text = datetime.datetime.fromtimestamp(middle / 1e9, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"
    for number, one in enumerate(pairwise(OPTIONS)):
        config = {k: v for k, v in one.items() if v is not None}
        if one["where"]:
            config["where"] = [f"update_time >= {text}"]
        if one["columns"]:
            config["columns"] = {"some": SOME, "one": ONE}[one["columns"]][one["layout"]]
        status = node.export(f"e{number}", config=config)
        equal(status["status"], "SUCCESS", str(status))
        equal(status["percent"], 100, str(config))
        files = sorted(str(f) for f in node.folder(f"e{number}").rglob("*.parquet"))
        want = dict(expected(one, truth, middle))
        equal(status["objectsExported"], len(want), str(config))
        if one["targetFileBytes"] and not one["where"]:
            check(len(files) > 1, config, files)
        unit = one["timestampUnit"] or ("us" if one["layout"] == "lake" else "ns")
        tables = {"pyarrow": [r for f in files for r in pq.ParquetFile(f, page_checksum_verification=True).read().to_pylist()],
                  "polars": polars.read_parquet(files, hive_partitioning=False).to_dicts()}
        if not (one["layout"] == "lake" and unit == "ns"):  # DuckDB gives nanoseconds no zone
            tables["duckdb"] = duckdb.sql(f"select * from read_parquet({files}, hive_partitioning = false)"
                                          ).to_arrow_table().to_pylist()
        for reader, rows in tables.items():
            got = {}
            for row in rows:
                key, made = seen(row, unit)
                got[key] = made
            equal(len(rows), len(want), f"{reader} {config}")
            for key, row in want.items():
                compare(got[key], row, f"{reader} {config}")
        code, _, errors = node.sluice("verify", "--deep", str(node.folder(f"e{number}")))
        equal(code, 0, f"{config} {errors}")
        manifest = json.loads((node.folder(f"e{number}") / "_manifest.json").read_text())
        told = manifest["settings"]
        equal((told["compression"], told.get("compressionLevel")),
              (one["compression"], (one["compressionLevel"] or 3) if one["compression"] == "small" else None), str(config))
        equal(told.get("columns"), config.get("columns"), str(config))
        equal(told.get("vectorType"), None if one["layout"] == "weaviate" else one["vectorType"] or "float32", str(config))
        equal("from" in told.get("updateTime", {}), bool(one["where"]), str(config))
        is_whole = not one["columns"] and not one["vectorType"]
        equal({"rowHash" in f for f in manifest["files"]}, {is_whole}, str(config))
        codec = {"fast": "ZSTD", "small": "ZSTD", "snappy": "SNAPPY", "lz4_raw": "LZ4", "none": "UNCOMPRESSED"}
        group = pq.ParquetFile(files[0]).metadata.row_group(0)
        check(group.column(0).compression.startswith(codec[one["compression"]]), group.column(0).compression, config)
    node.close()


def compare(got, want, what):
    equal(sorted(got), sorted(want), what)
    for name, value in want.items():
        if name == "properties" and isinstance(value, dict):
            value = {k: v for k, v in value.items() if k in got[name]}
        other = got[name]
        if isinstance(other, str) and isinstance(value, bytes):
            other = other.encode()
        equal(other, value, f"{what} {name}")


def test_what_cannot_be_is_refused(bin_dir):
    node = Node(bin_dir)
    node.create_class("Known")
    node.insert("Known", 3)
    for config, why in (
            ({"vectorType": "float16"}, "float16 needs layout lake"), ({"idType": "uuid"}, "uuid needs layout lake"),
            ({"fieldIds": True}, "fieldIds needs layout lake"),
            ({"compression": "snappy", "compressionLevel": 9}, "compressionLevel is of compression small, not of snappy"),
            ({"columns": ["nothing"]}, "no exported collection has"),
            ({"columns": []}, "config.columns must be a list of names"),
            ({"where": ["update_time is late"]}, "is not a condition like"),
            ({"where": ["update_time >= 2026-01-01T00:00:00Z and more"]}, "is not a condition like"),
            ({"compressionLevel": 23}, "1 to 22"), ({"targetFileBytes": 5}, "1 MiB at least"),
            ({"compression": "gzip"}, "config.compression should be one of"),
            ({"tenants": ["t"]}, "no collection of the export has a tenant")):
        status, reply = node.call("POST", "/v1/export/filesystem", {"id": "x", "file_format": "parquet", "config": config})[:2]
        equal(status, 422, f"{config} {reply}")
        check(why in json.dumps(reply), reply)
    node.close()


def test_command_line_takes_the_same(bin_dir):
    node = Node(bin_dir)
    load(node)
    code, _, errors = node.sluice("create", "cli", "--server", node.url, "--wait", "--layout", "lake", "--columns",
                                  "vector_v,properties.n", "--where", "update_time >= 2020-01-01T00:00:00Z", "--where",
                                  "creation_time < 2200-01-01T00:00:00Z", "--vector-type", "float16",
                                  "--compression-level", "5", "--target-file-size", str(1 << 20))
    equal(code, 0, errors)
    files = sorted(node.folder("cli").rglob("*.parquet"))
    check(len(files) > 1, files)
    table = pq.ParquetFile(files[0]).read()
    equal(table.column_names, ["id", "vector_v", "properties"])
    equal(str(table.schema.field("vector_v").type), "list<element: halffloat not null>")
    equal(sum(pq.ParquetFile(f).metadata.num_rows for f in files), 2000)
    code, _, errors = node.sluice("create", "bad", "--server", node.url, "--layout", "delta")
    equal(code, 2, errors)
    check("config.layout should be one of" in errors, errors)
    node.close()


run(dict(globals()))
