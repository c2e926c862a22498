"""Spark (parquet-java) reads exports of both layouts as they lie and sees what was loaded.

Its types are compared as Spark names them; its rows come over as Arrow, so that times are instants. How
many rows a scan gave to the query, by Spark's own count, tells that it skipped pages by our indexes and
files by our bloom filters.
"""

import json
import pathlib
import struct
import sys
import uuid

from pyspark.sql import SparkSession
from pyspark.sql.functions import col

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
from node import Node, check, equal, run  # noqa: E402
from typed_rows import compare, f32, load  # noqa: E402

COUNT = 2500
INNER = "array<struct<x:double,y:timestamp>>"
OBJECT = f"struct<a:bigint,b:array<string>,inner:{INNER}>"
PROPERTIES = (f"struct<t:string,ta:array<string>,i:bigint,ia:array<bigint>,n:double,na:array<double>,b:boolean,"
              "ba:array<boolean>,d:timestamp,da:array<timestamp>,u:string,ua:array<string>,bl:binary,"
              f"geo:struct<latitude:float,longitude:float>,o:{OBJECT},oa:array<{OBJECT}>>")
LAKE = {"id": "string", "creation_time": "timestamp", "update_time": "timestamp", "vector": "array<float>",
        "vector_single": "array<float>", "multi_vector_many": "array<array<float>>", "properties": PROPERTIES,
        "properties_json": "string", "collection": "string"}
WEAVIATE = {"id": "string", "creation_time": "bigint", "update_time": "bigint", "vector": "binary",
            "named_vectors": "binary", "multi_vectors": "binary", "properties": "binary"}


def spark():
    options = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.sql.session.timeZone": "UTC",
               "spark.driver.host": "127.0.0.1", "spark.driver.memory": "1g", "spark.sql.adaptive.enabled": "false"}
    session = SparkSession.builder.master("local[2]").config(map=options).getOrCreate()
    session.sparkContext.setLogLevel("OFF")  # what Spark refuses is told by its exception
    return session


def as_float32(value):
    """Numbers of a text as the float32 they stand for."""
    if isinstance(value, dict):
        return {k: as_float32(v) for k, v in value.items()}
    return [as_float32(v) for v in value] if isinstance(value, list) else f32(value)


def scanned(frame):
    """The rows of a query, and how many its scan of files gave to it."""
    rows = frame.collect()
    leaves = frame._jdf.queryExecution().executedPlan().collectLeaves()
    equal(leaves.size(), 1, "scans")
    return rows, leaves.apply(0).metrics().apply("numOutputRows").value()


def test_every_type_of_layout_lake(bin_dir):
    node = Node(bin_dir, EXPORT_PARALLELISM=2)
    truth = load(node, "All", COUNT)
    for name, config in {"plain": {}, "small": {"compression": "small", "bloomFilter": True},
                         "snappy": {"compression": "snappy", "fieldIds": True}, "lz4": {"compression": "lz4_raw"},
                         "cut": {"targetFileBytes": 1 << 20}}.items():
        equal(node.export(name, config={"layout": "lake", **config})["status"], "SUCCESS")
        frame = spark().read.parquet(str(node.folder(name)))
        equal(dict(frame.dtypes), LAKE, name)
        rows = frame.toArrow().to_pylist()
        equal({row.pop("collection") for row in rows}, {"All"})
        compare(f"Spark, {name}", rows, truth)
    check(len(list(node.folder("cut").rglob("*.parquet"))) > 2, "several files")
    node.close()


def test_filters_skip_pages_and_lose_no_row(bin_dir):
    node = Node(bin_dir)
    node.create_class("Found")
    ids = sorted(node.insert("Found", 60_000, dims=1))
    one, absent = ids[31_000], str(uuid.UUID(int=uuid.UUID(ids[31_000]).int + 1))
    for name, config in {"pages": {}, "files": {"targetFileBytes": 1 << 20}, "bloom": {"bloomFilter": True}}.items():
        node.export(name, config={"layout": "lake", **config})
        equal(len(list(node.folder(name).rglob("*.parquet"))) > 1, name == "files", name)
        frame = spark().read.parquet(str(node.folder(name)))
        rows, given = scanned(frame.where(col("id") == one))
        equal([row["id"] for row in rows], [one], name)
        check(1 <= given <= 20_000, f"{name}: {given} rows scanned for one id")
        rows, given = scanned(frame.where(col("id") == absent))
        equal(rows, [], name)
        check((given == 0) == (name == "bloom"), f"{name}: {given} rows scanned for an id that is not there")
        rows, given = scanned(frame.where(col("id").between(ids[100], ids[299])).select("id"))
        equal(sorted(row["id"] for row in rows), ids[100:300], name)
        check(200 <= given <= 20_000, f"{name}: {given} rows scanned for a span of ids")
        equal(sorted(row["n"] for row in frame.where(col("properties.n") < 10).select("properties.n").collect()),
              list(range(10)), name)
        equal(frame.where(col("properties.text") == "object 59999").count(), 1, name)
        equal(frame.where(col("properties.n") < 0).count(), 0, name)
        times = frame.selectExpr("min(creation_time)", "max(creation_time)").collect()[0]
        equal(frame.where(col("creation_time").between(*times)).count(), 60_000, name)
        equal(frame.where(col("creation_time") > times[1]).count(), 0, name)
    node.close()


def test_folders_are_partitions(bin_dir):
    node = Node(bin_dir)
    node.create_class("Many", tenants=["one", "two-2"])
    wanted = {t: set(node.insert("Many", count, tenant=t)) for t, count in (("one", 30), ("two-2", 50))}
    node.export("t", config={"layout": "lake"})
    frame = spark().read.parquet(str(node.folder("t")))
    equal(frame.dtypes[-2:], [("collection", "string"), ("tenant", "string")])
    for tenant, ids in wanted.items():
        rows, given = scanned(frame.where((col("collection") == "Many") & (col("tenant") == tenant)).select("id"))
        equal({row["id"] for row in rows}, ids, tenant)
        equal(given, len(ids), "rows of other tenants are not read")
    node.close()


def test_documented_columns(bin_dir):
    node = Node(bin_dir)
    truth = load(node, "All", COUNT)
    for unit, scale in (("ns", 1000), ("us", 1)):
        node.export(unit, config={"layout": "weaviate", "timestampUnit": unit})
        frame = spark().read.parquet(str(node.folder(unit) / "*.parquet"))
        equal(dict(frame.dtypes), WEAVIATE)
        rows = {row["id"]: row for row in frame.collect()}
        equal((frame.count(), set(rows)), (COUNT, set(truth)))
        for key, row in rows.items():
            one = truth[key]
            equal((row["creation_time"], row["update_time"]), tuple(scale * t for t in one["times"]))
            named, multi = (as_float32(json.loads(bytes(row[k] or b"{}"))) for k in ("named_vectors", "multi_vectors"))
            equal((row["vector"], {**named, **multi}), (None, one["vectors"]))
            equal(set(json.loads(bytes(row["properties"]))), set(one["properties"]))
    node.ok("POST", "/v1/schema", {"class": "Unnamed", "vectorizer": "none"})
    node.insert("Unnamed", 300, dims=40)
    sent = {o["id"]: o["vector"] for o in node.ok("GET", "/v1/objects?class=Unnamed&limit=300&include=vector")["objects"]}
    node.export("u", include=["Unnamed"])
    rows = spark().read.parquet(str(node.folder("u") / "*.parquet")).select("id", "vector").collect()
    equal({row["id"]: bytes(row["vector"]) for row in rows}, {k: struct.pack("<40f", *v) for k, v in sent.items()})
    node.close()


def test_what_spark_has_no_type_for_is_refused_by_it(bin_dir):
    """What docs/files.md says of these two; the day they are read, it is to be changed there."""
    node = Node(bin_dir)
    node.create_class("Refused")
    node.insert("Refused", 3)
    for config, told in (({"idType": "uuid"}, "UUID"), ({"vectorType": "float16"}, "FLOAT16")):
        node.export(told.lower(), config={"layout": "lake", **config})
        try:
            spark().read.parquet(str(node.folder(told.lower()))).collect()
        except Exception as error:  # pylint: disable=broad-except
            check(told in str(error), str(error)[:500])
        else:
            raise AssertionError(f"Spark reads {told} now")
    node.close()


run(dict(globals()))
