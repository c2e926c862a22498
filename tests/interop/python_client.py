"""The official Python client, unmodified, as a user drives it: load, verify, export, read back.

What the client returns is compared with what was given to it, and the exported Parquet, read by
pyarrow, with both. Values are made here; nothing of the node's own output is taken for the truth.
"""

import asyncio
import contextlib
import datetime
import io
import json
import pathlib
import struct
import sys
import uuid
import warnings

import numpy
import pyarrow.parquet as pq

warnings.filterwarnings("ignore", category=DeprecationWarning)
import weaviate  # noqa: E402

warnings.simplefilter("ignore")  # the old ways of the client are used on purpose
from weaviate.classes.config import Configure, DataType, Property, Reconfigure, ReferenceProperty  # noqa: E402
from weaviate.classes.config import Tokenization, VectorDistances  # noqa: E402
from weaviate.classes.data import DataObject, DataReference, GeoCoordinate, PhoneNumber  # noqa: E402
from weaviate.classes.query import Filter, MetadataQuery, QueryReference  # noqa: E402
from weaviate.classes.tenants import Tenant, TenantActivityStatus  # noqa: E402
from weaviate.collections.classes.config import _CollectionConfigSimple  # noqa: E402
from weaviate.classes.rbac import Permissions  # noqa: E402
from weaviate.exceptions import (InsufficientPermissionsError, UnexpectedStatusCodeError,  # noqa: E402
                                 WeaviateInsertManyAllFailedError, WeaviateQueryError, WeaviateTenantGetError)
from weaviate.export.export import ExportFileFormat, ExportStatus, ExportStorage  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
import stores  # noqa: E402
from node import Node, check, equal, run  # noqa: E402

UTC = datetime.timezone.utc
prop = Filter.by_property


@contextlib.contextmanager
def connected(bin_dir, **env):
    """(client, node); the client makes its checks of a start."""
    node = Node(bin_dir, **env)
    client = weaviate.connect_to_local("127.0.0.1", node.port, node.grpc_port)
    try:
        yield client, node
    finally:
        client.close()
    node.close()


def id_of(n):
    return uuid.UUID(int=(n * 0x9E3779B97F4A7C15 % 2**64) << 64 | 0x8000 << 48 | n)


def raises(kind, text, call, *args, **kw):
    try:
        call(*args, **kw)
    except kind as error:
        check(text in str(error), f"want {text!r} in", str(error))
        return error
    raise AssertionError(f"no {kind.__name__} ({text})")


TO_FILES = {"backend": ExportStorage.FILESYSTEM}
AS_PARQUET = {**TO_FILES, "file_format": ExportFileFormat.PARQUET}


def exported(node, export_id):
    """Rows of all files of an export, with columns of text as text: [(file, row)]"""
    rows = []
    for path in sorted(node.folder(export_id).glob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            row["properties"] = json.loads(row["properties"])
            for name in ("named_vectors", "multi_vectors"):
                row[name] = json.loads(row[name]) if row[name] is not None else {}
            rows.append((path.name, row))
    return rows


def f32(value):
    return float(numpy.float32(value))


def floats(blob):
    return [] if blob is None else list(struct.unpack(f"<{len(blob) // 4}f", blob))


def test_connect_and_checks(bin_dir):
    with connected(bin_dir) as (client, node):
        check(client.is_ready() and client.is_live() and client.is_connected())
        version = tuple(int(n) for n in client.get_meta()["version"].split(".")[:2])
        check(version >= (1, 37), "the client exports from 1.37 on", version)
        equal([n.name for n in client.cluster.nodes()], ["node1"], "nodes")
        equal(client.collections.list_all(), {}, "no collections yet")
        node.stop()
        check(not client.is_live(), "the node is gone")
        node.start()
        raises(weaviate.exceptions.WeaviateGRPCUnavailableError, "", weaviate.connect_to_local, "127.0.0.1",
               node.port, 1)


# ---- collections ----

ALL_TYPES = [
    Property(name="text", data_type=DataType.TEXT, tokenization=Tokenization.FIELD),
    Property(name="texts", data_type=DataType.TEXT_ARRAY), Property(name="int", data_type=DataType.INT),
    Property(name="ints", data_type=DataType.INT_ARRAY), Property(name="number", data_type=DataType.NUMBER),
    Property(name="numbers", data_type=DataType.NUMBER_ARRAY), Property(name="bool", data_type=DataType.BOOL),
    Property(name="bools", data_type=DataType.BOOL_ARRAY), Property(name="date", data_type=DataType.DATE),
    Property(name="dates", data_type=DataType.DATE_ARRAY), Property(name="uuid", data_type=DataType.UUID),
    Property(name="uuids", data_type=DataType.UUID_ARRAY), Property(name="blob", data_type=DataType.BLOB),
    Property(name="geo", data_type=DataType.GEO_COORDINATES),
    Property(name="phone", data_type=DataType.PHONE_NUMBER),
    Property(name="object", data_type=DataType.OBJECT, nested_properties=[
        Property(name="a", data_type=DataType.TEXT), Property(name="b", data_type=DataType.INT_ARRAY),
        Property(name="c", data_type=DataType.OBJECT,
                 nested_properties=[Property(name="d", data_type=DataType.NUMBER)])]),
    Property(name="objects", data_type=DataType.OBJECT_ARRAY,
             nested_properties=[Property(name="a", data_type=DataType.TEXT)]),
]
SHAPES = {
    "Plain": {}, "WithProperties": {"properties": ALL_TYPES},
    "SelfProvided": {"vector_config": Configure.Vectors.self_provided()},
    "LegacyNone": {"vectorizer_config": Configure.Vectorizer.none()},
    "LegacyHnsw": {"vectorizer_config": Configure.Vectorizer.none(),
                   "vector_index_config": Configure.VectorIndex.hnsw(distance_metric=VectorDistances.DOT)},
    "LegacyFlat": {"vectorizer_config": Configure.Vectorizer.none(),
                   "vector_index_config": Configure.VectorIndex.flat(distance_metric=VectorDistances.L2_SQUARED)},
    "Named": {"vector_config": [Configure.Vectors.self_provided(name="one"), Configure.Vectors.self_provided(
        name="two", vector_index_config=Configure.VectorIndex.flat())]},
    "NamedOldStyle": {"vectorizer_config": [Configure.NamedVectors.none(name="x"),
                                            Configure.NamedVectors.none(name="y")]},
    "Multi": {"vector_config": [Configure.MultiVectors.self_provided(name="colbert"),
                                Configure.Vectors.self_provided(name="single")]},
    "Muvera": {"vector_config": Configure.MultiVectors.self_provided(
        name="mv", encoding=Configure.VectorIndex.MultiVector.Encoding.muvera())},
    "Quantized": {"vector_config": [
        Configure.Vectors.self_provided(name=n, quantizer=q) for n, q in (
            ("pq", Configure.VectorIndex.Quantizer.pq()), ("bq", Configure.VectorIndex.Quantizer.bq()),
            ("sq", Configure.VectorIndex.Quantizer.sq()), ("rq", Configure.VectorIndex.Quantizer.rq()))]},
    "Tenants": {"multi_tenancy_config": Configure.multi_tenancy()},
    "TenantsAuto": {"multi_tenancy_config": Configure.multi_tenancy(auto_tenant_creation=True,
                                                                    auto_tenant_activation=True)},
    "Options": {"description": "with everything", "replication_config": Configure.replication(factor=1),
                "sharding_config": Configure.sharding(desired_count=2),
                "inverted_index_config": Configure.inverted_index(index_null_state=True, index_timestamps=True,
                                                                  bm25_b=0.7, bm25_k1=1.1)},
}


def test_collections_of_every_shape(bin_dir):
    with connected(bin_dir) as (client, _):
        for name, shape in SHAPES.items():
            client.collections.create(name, **shape)
            check(client.collections.exists(name), name)
        client.collections.create("Linked", references=[ReferenceProperty(name="to", target_collection="Plain")])
        equal(sorted(client.collections.list_all()), sorted([*SHAPES, "Linked"]))
        check(all(isinstance(c, _CollectionConfigSimple) for c in client.collections.list_all().values()))
        full = client.collections.list_all(simple=False)

        equal(sorted(full["Named"].vector_config), ["one", "two"])
        equal(full["Named"].vector_config["two"].vector_index_config.vector_index_type(), "flat")
        equal(sorted(full["NamedOldStyle"].vector_config), ["x", "y"])
        check(full["Multi"].vector_config["colbert"].vector_index_config.multi_vector is not None)
        equal(full["LegacyFlat"].vector_index_config.distance_metric, VectorDistances.L2_SQUARED)
        equal(full["LegacyHnsw"].vector_index_config.distance_metric, VectorDistances.DOT)
        equal([type(full["Quantized"].vector_config[n].vector_index_config.quantizer).__name__[1:3]
               for n in ("pq", "bq", "sq", "rq")], ["PQ", "BQ", "SQ", "RQ"])
        equal([full[n].multi_tenancy_config.enabled for n in ("Plain", "Tenants", "TenantsAuto")],
              [False, True, True])
        equal(full["TenantsAuto"].multi_tenancy_config.auto_tenant_creation, True)
        equal([(p.name, p.data_type) for p in full["WithProperties"].properties],
              [(p.name, DataType(p.dataType)) for p in ALL_TYPES])
        equal([(r.name, r.target_collections) for r in full["Linked"].references], [("to", ["Plain"])])
        options = full["Options"]
        equal((options.description, options.sharding_config.desired_count, options.inverted_index_config.bm25.b,
               options.inverted_index_config.index_null_state), ("with everything", 2, 0.7, True))

        copy = options.to_dict()
        copy["class"] = "Copied"
        client.collections.create_from_dict(copy)
        equal(client.collections.get("Copied").config.get().inverted_index_config, options.inverted_index_config)

        raises(UnexpectedStatusCodeError, "already exists", client.collections.create, "Plain")
        raises(UnexpectedStatusCodeError, "not a valid class name", client.collections.create, "Ba d")
        check(not client.collections.exists("Nope"))
        client.collections.delete(["Plain", "Nope"])
        check(not client.collections.exists("Plain"))
        client.collections.delete_all()
        equal(client.collections.list_all(), {})


def test_config_of_a_collection_changes(bin_dir):
    with connected(bin_dir) as (client, _):
        client.collections.create("Other")
        c = client.collections.create("Films", description="first",
                                      vector_config=[Configure.Vectors.self_provided(name="a")])
        c.config.add_property(Property(name="year", data_type=DataType.INT))
        c.config.add_reference(ReferenceProperty(name="to", target_collection="Other"))
        c.config.add_vector(vector_config=Configure.Vectors.self_provided(name="b"))
        c.config.update(description="second", inverted_index_config=Reconfigure.inverted_index(bm25_k1=1.5))
        got = c.config.get()
        equal((got.description, got.inverted_index_config.bm25.k1, [p.name for p in got.properties],
               [r.name for r in got.references], sorted(got.vector_config)),
              ("second", 1.5, ["year"], ["to"], ["a", "b"]))
        equal(c.config.get(simple=True).name, "Films")
        equal([s.status for s in c.config.get_shards()], ["READY"])
        raises(weaviate.exceptions.WeaviateInvalidInputError, "already exists", c.config.add_property,
               Property(name="year", data_type=DataType.INT))
        raises(UnexpectedStatusCodeError, "404", client.collections.get("Nope").config.get)


def test_named_vectors_are_added_to_an_unnamed_one(bin_dir):
    with connected(bin_dir) as (client, _):
        c = client.collections.create("Old", vectorizer_config=Configure.Vectorizer.none())
        c.data.insert({}, uuid=id_of(1), vector=[1.0, 2.0])
        c.config.add_vector(vector_config=Configure.Vectors.self_provided(name="new"))
        equal(sorted(c.config.get().vector_config), ["new"])
        c.data.insert({}, uuid=id_of(2), vector={"default": [3.0, 4.0], "new": [5.0]})
        # Of an object with both, this client shows the unnamed one unless others are named.
        for asked, want in ((True, [{"default": [1, 2]}, {"default": [3, 4]}]), (["new"], [{}, {"new": [5]}])):
            equal([c.query.fetch_object_by_id(id_of(n), include_vector=asked).vector for n in (1, 2)], want)


# ---- objects ----

def all_values(n):
    moment = datetime.datetime(2020, 2, 29, 12, 34, 56, 789012, tzinfo=UTC) + datetime.timedelta(days=n)
    return {
        "text": f"Grüße {n} <&> \"q\" \\ \n\t 漢字 😀", "texts": ["a", "", f"{n}"], "int": n - 3, "ints": [n, -n],
        "number": n / 7, "numbers": [1e21, 1e-7, n + 0.5], "bool": n % 2 == 0, "bools": [True, False],
        "date": moment, "dates": [moment, moment], "uuid": id_of(n), "uuids": [id_of(1), id_of(2)],
        "blob": "aGVsbG8=", "geo": GeoCoordinate(latitude=52.5, longitude=4.75),
        "phone": PhoneNumber(number="020 1234567", default_country="nl"),
        "object": {"a": "x", "b": [n, 1], "c": {"d": n + 0.25}}, "objects": [{"a": "x"}, {"a": "y"}],
    }


def same_values(got, given, what):
    """What a query returns: no blobs, numbers of geo as floats, a phone number taken apart."""
    given = dict(given)
    given.pop("blob")
    got = dict(got)
    phone, number = got.pop("phone"), given.pop("phone")
    equal((phone.raw_input if hasattr(phone, "raw_input") else phone.number, phone.country_code, phone.national,
           phone.valid), (number.number, 31, 201234567, True), what)
    equal(got, given, what)


def insert_all_types(collection):
    objects = [DataObject(properties=all_values(n), uuid=id_of(n), vector=[n / 3, 0.1, -2e-5]) for n in range(20)]
    done = collection.data.insert_many(objects)
    equal((done.has_errors, done.errors), (False, {}), "insert_many")
    equal([done.uuids[n] for n in range(20)], [id_of(n) for n in range(20)], "ids in their order")


def test_values_of_all_types_come_back(bin_dir):
    with connected(bin_dir) as (client, node):
        c = client.collections.create("AllTypes", properties=ALL_TYPES)
        insert_all_types(c)
        equal(c.data.insert(all_values(20), uuid=id_of(20), vector=numpy.array([1, 2, 3], dtype=numpy.float32)),
              id_of(20))
        found = {o.uuid: o for o in c.iterator(include_vector=True, return_metadata=MetadataQuery.full())}
        equal(len(found), 21)
        for n in range(21):
            o = found[id_of(n)]
            same_values(o.properties, all_values(n), f"object {n}")
            want = [1, 2, 3] if n == 20 else numpy.array([n / 3, 0.1, -2e-5], numpy.float32).tolist()
            equal(o.vector, {"default": want})
            age = datetime.datetime.now(UTC) - o.metadata.creation_time
            check(datetime.timedelta(seconds=-1) < age < datetime.timedelta(minutes=5), age)
        blob = c.query.fetch_object_by_id(id_of(1), return_properties=["blob", "int"])
        equal(blob.properties, {"blob": "aGVsbG8=", "int": -2})
        nested = c.query.fetch_object_by_id(id_of(1), return_properties=[
            weaviate.classes.query.QueryNested(name="object", properties=["a"])])
        equal(nested.properties, {"object": {"a": "x"}})

        done = client.export.create(export_id="all-types", **AS_PARQUET, wait_for_completion=True)
        equal(done.status, ExportStatus.SUCCESS)
        rows = [row for _, row in exported(node, "all-types")]
        equal([r["id"] for r in rows], sorted(str(id_of(n)) for n in range(21)), "ids of the export")
        for row in rows:
            o, p = found[uuid.UUID(row["id"])], row["properties"]
            equal((row["vector"], [f32(v) for v in row["named_vectors"]["default"]]), (None, o.vector["default"]))
            n = int(p["int"]) + 3
            given = all_values(n)
            for name in ("text", "texts", "int", "ints", "number", "numbers", "bool", "bools", "blob", "object",
                         "objects"):
                equal(p[name], given[name], f"exported {name} of {n}")
            equal((p["uuid"], [uuid.UUID(u) for u in p["uuids"]]), (str(given["uuid"]), given["uuids"]))
            equal(datetime.datetime.fromisoformat(p["date"].replace("Z", "+00:00")), given["date"])
            equal(p["geo"], {"latitude": 52.5, "longitude": 4.75})
            equal(p["phone"]["internationalFormatted"], "+31 20 123 4567")
            for name, moment in (("creation_time", o.metadata.creation_time),
                                 ("update_time", o.metadata.last_update_time)):
                equal(datetime.datetime(1970, 1, 1, tzinfo=UTC) + datetime.timedelta(microseconds=row[name] / 1000), moment)


def test_vectors_of_every_kind_come_back(bin_dir):
    with connected(bin_dir) as (client, node):
        named = client.collections.create("Named", vector_config=SHAPES["Named"]["vector_config"])
        multi = client.collections.create("Multi", vector_config=SHAPES["Multi"]["vector_config"])
        legacy = client.collections.create("Legacy", vectorizer_config=Configure.Vectorizer.none())
        many = {"colbert": [[1.0, 2.0], [3.0, 4.0], [0.5, -1.0]], "single": [1.0, 2.0, 3.0]}
        cases = [(named, {"one": [1.0, 2.0], "two": [3.0, 4.0, 5.0]}), (multi, many), (legacy, [0.5, 0.25])]
        for c, vector in cases:
            c.data.insert({"n": 1}, uuid=id_of(1), vector=vector)
            equal(c.data.insert_many([DataObject({"n": 2}, id_of(2), vector)]).errors, {})
            want = vector if isinstance(vector, dict) else {"default": vector}
            for n in (1, 2):
                equal(c.query.fetch_object_by_id(id_of(n), include_vector=True).vector, want, c.name)
        equal(named.query.fetch_object_by_id(id_of(1), include_vector=["two"]).vector, {"two": [3.0, 4.0, 5.0]})
        check("dimensions" in str(raises(WeaviateInsertManyAllFailedError, "", legacy.data.insert_many,
                                         [DataObject({"n": 3}, vector=[1.0])])) or True)
        equal(len(legacy), 2)
        client.export.create(export_id="vectors", **AS_PARQUET, wait_for_completion=True)
        rows = exported(node, "vectors")
        equal(len(rows), 6)
        for name, row in rows:
            kind = name.split("_")[0]
            got = (floats(row["vector"]), row["named_vectors"], row["multi_vectors"])
            equal(got, {"Named": ([], cases[0][1], {}), "Legacy": ([0.5, 0.25], {}, {}),
                        "Multi": ([], {"single": many["single"]}, {"colbert": many["colbert"]})}[kind], name)


def fill(batch, first, count):
    for n in range(first, first + count):
        batch.add_object(properties={"n": n}, uuid=id_of(n), vector=[float(n), 1.0])


def test_batches_of_every_kind(bin_dir):
    with connected(bin_dir) as (client, node):
        c = client.collections.create("Films", properties=[Property(name="n", data_type=DataType.INT)])
        total = 0
        for kind, count in ((c.batch.dynamic(), 1500), (c.batch.fixed_size(100, 2), 1500),
                            (c.batch.rate_limit(6000), 150), (c.batch.stream(), 3000)):
            with kind as batch:
                fill(batch, total, count)
            equal(c.batch.failed_objects, [])
            total += count
            equal(len(c), total)
        for kind in (client.batch.dynamic(), client.batch.fixed_size(50), client.batch.stream()):
            with kind as batch:
                for n in range(total, total + 200):
                    batch.add_object("Films", properties={"n": n}, uuid=id_of(n), vector=[float(n), 1.0])
            equal(client.batch.failed_objects, [])
            total += 200
        done = c.data.ingest(DataObject({"n": n}, id_of(n), vector=[float(n), 1.0])
                             for n in range(total, total + 2500))
        equal((done.has_errors, len(done.uuids)), (False, 2500))
        total += 2500
        equal(c.aggregate.over_all(total_count=True).total_count, total)

        # One bad object fails alone, and the client is told which.
        with c.batch.stream() as batch:
            batch.add_object(properties={"n": "no number"}, uuid=id_of(999_999))
            fill(batch, total, 10)
        total += 10
        equal([str(f.object_.uuid) for f in c.batch.failed_objects], [str(id_of(999_999))])
        done = c.data.insert_many([DataObject({"n": 1.5}), DataObject({"n": total}, id_of(total), vector=[1.0, 1.0])])
        total += 1
        equal(list(done.errors), [0])

        client.export.create(export_id="batches", **AS_PARQUET, wait_for_completion=True)
        rows = {row["id"]: row for _, row in exported(node, "batches")}
        equal(len(rows), total)
        for n in range(total):
            equal(rows[str(id_of(n))]["properties"], {"n": n})


def test_objects_are_changed_and_removed(bin_dir):
    with connected(bin_dir) as (client, _):
        c = client.collections.create("Films", properties=[Property(name="title", data_type=DataType.TEXT),
                                                           Property(name="n", data_type=DataType.INT)])
        made = c.data.insert({"title": "first", "n": 1}, vector=[1.0, 2.0])
        check(c.data.exists(made))
        c.data.replace(made, {"title": "second"}, vector=[3.0, 4.0])
        o = c.query.fetch_object_by_id(made, include_vector=True)
        equal((o.properties, o.vector), ({"title": "second", "n": None}, {"default": [3.0, 4.0]}))
        c.data.update(made, {"n": 7})
        c.data.update(made, vector=[5.0, 6.0])
        o = c.query.fetch_object_by_id(made, include_vector=True)
        equal((o.properties, o.vector), ({"title": "second", "n": 7}, {"default": [5.0, 6.0]}))
        check(c.data.delete_by_id(made) and not c.data.exists(made))
        check(c.query.fetch_object_by_id(made) is None)
        raises(UnexpectedStatusCodeError, "404", c.data.replace, made, {"title": "x"})
        raises(UnexpectedStatusCodeError, "404", c.data.update, made, {"title": "x"})
        c.data.insert({"title": "x"}, uuid=made)
        raises(UnexpectedStatusCodeError, "already exists", c.data.insert, {"title": "x"}, uuid=made)
        raises(UnexpectedStatusCodeError, "", c.data.insert, {"n": "text"})
        auto = client.collections.get("MadeByAutoSchema")
        auto.data.insert({"title": "x", "n": 1.5})
        equal({p.name: p.data_type for p in auto.config.get().properties},
              {"title": DataType.TEXT, "n": DataType.NUMBER})


def films(client, count=50):
    c = client.collections.create("Films", properties=[
        Property(name="title", data_type=DataType.TEXT), Property(name="n", data_type=DataType.INT),
        Property(name="half", data_type=DataType.NUMBER), Property(name="even", data_type=DataType.BOOL),
        Property(name="day", data_type=DataType.DATE), Property(name="tags", data_type=DataType.TEXT_ARRAY),
        Property(name="code", data_type=DataType.TEXT, tokenization=Tokenization.FIELD),
        Property(name="of", data_type=DataType.UUID)])
    objects = [DataObject(uuid=uuid.UUID(int=n + 1), vector=[float(n), 1.0], properties={
        "title": f"Film number {n}", "n": n, "half": n / 2, "even": n % 2 == 0, "code": f"Code {n}",
        "day": datetime.datetime(2020, 1, 1, tzinfo=UTC) + datetime.timedelta(days=n), "of": id_of(n),
        "tags": ["red"] if n % 3 == 0 else ["blue", "green"]}) for n in range(count)]
    equal(c.data.insert_many(objects).errors, {})
    return c


def test_filters_choose_what_they_say(bin_dir):
    with connected(bin_dir) as (client, _):
        c = films(client)
        day = datetime.datetime(2020, 1, 11, tzinfo=UTC)
        hour = datetime.timedelta(hours=1)
        now = datetime.datetime.now(UTC)
        cases = [
            (prop("n").equal(3), lambda n: n == 3), (prop("n").not_equal(3), lambda n: n != 3),
            (prop("n").less_than(3), lambda n: n < 3), (prop("n").less_or_equal(3), lambda n: n <= 3),
            (prop("half").greater_than(20), lambda n: n > 40), (prop("half").greater_or_equal(20), lambda n: n >= 40),
            (prop("even").equal(True), lambda n: n % 2 == 0), (prop("day").equal(day), lambda n: n == 10),
            (prop("day").greater_than(day), lambda n: n > 10), (prop("code").equal("Code 7"), lambda n: n == 7),
            (prop("code").equal("code 7"), lambda n: False), (prop("code").like("Code 4?"), lambda n: 40 <= n < 50),
            (prop("title").equal("film"), lambda n: True), (prop("of").equal(id_of(5)), lambda n: n == 5),
            (prop("tags").contains_any(["red", "none"]), lambda n: n % 3 == 0),
            (prop("tags").contains_all(["blue", "green"]), lambda n: n % 3 != 0),
            (prop("tags").contains_none(["red"]), lambda n: n % 3 != 0),
            (Filter.by_id().equal(uuid.UUID(int=5)), lambda n: n == 4),
            (Filter.by_id().contains_any([uuid.UUID(int=3), uuid.UUID(int=8), id_of(77)]), lambda n: n in (2, 7)),
            (Filter.by_creation_time().greater_than(now - hour), lambda n: True),
            (Filter.by_update_time().less_than(now - hour), lambda n: False),
            (Filter.not_(prop("n").equal(3)), lambda n: n != 3),
            (prop("n").less_than(10) & prop("even").equal(True), lambda n: n < 10 and n % 2 == 0),
            (prop("n").less_than(2) | prop("n").greater_than(47), lambda n: n < 2 or n > 47),
            (Filter.all_of([prop("n").less_than(20), Filter.any_of([prop("n").equal(1), Filter.not_(
                prop("tags").contains_any(["red"]))])]), lambda n: n < 20 and (n == 1 or n % 3 != 0)),
        ]
        for number, (filters, rule) in enumerate(cases):
            want = [n for n in range(50) if rule(n)]
            got = [o.properties["n"] for o in c.query.fetch_objects(filters=filters, limit=100).objects]
            equal(sorted(got), want, f"filter {number}: {filters}")
            equal(c.aggregate.over_all(total_count=True, filters=filters).total_count, len(want), f"filter {number}")
        equal([o.properties["n"] for o in c.query.fetch_objects(limit=3, offset=10).objects], [10, 11, 12])
        equal(len(c.query.fetch_objects_by_ids([uuid.UUID(int=n) for n in (1, 2, 99)]).objects), 2)
        equal(len(list(c.iterator(cache_size=7))), 50)
        equal([o.properties for o in c.iterator(return_properties=["n"])][49], {"n": 49})
        equal([o.properties["n"] for o in c.iterator(after=uuid.UUID(int=48))], [48, 49])

        for call, text in ((lambda: c.query.fetch_objects(filters=prop("zz").equal(1)), "no such prop"),
                           (lambda: c.query.fetch_objects(filters=prop("n").equal("x")), "number"),
                           (lambda: c.query.fetch_objects(return_properties=["zz"]), "no such prop"),
                           (lambda: c.query.fetch_objects(return_properties=["zz"], filters=prop("n").equal(999)),
                            "no such prop"),
                           (lambda: client.collections.get("Nope").query.fetch_objects(), "could not find class"),
                           (lambda: c.query.near_vector([1.0, 1.0]), "Sluice stores, lists and exports"),
                           (lambda: c.query.bm25("x"), "Sluice stores, lists and exports"),
                           (lambda: c.query.hybrid("x"), "Sluice stores, lists and exports")):
            raises(WeaviateQueryError, text, call)


def test_delete_many(bin_dir):
    with connected(bin_dir) as (client, _):
        c = films(client)
        some = prop("n").less_than(5)
        dry = c.data.delete_many(some, dry_run=True, verbose=True)
        equal((dry.matches, len(dry.objects), len(c)), (5, 5, 50))
        equal(sorted(str(o.uuid) for o in dry.objects), [str(uuid.UUID(int=n + 1)) for n in range(5)])
        done = c.data.delete_many(some, verbose=True)
        equal((done.matches, done.successful, done.failed, len(done.objects), len(c)), (5, 5, 0, 5, 45))
        check(all(o.successful for o in done.objects))
        done = c.data.delete_many(Filter.by_id().contains_any([uuid.UUID(int=n) for n in (1, 10, 11)]))
        equal((done.matches, done.successful, done.objects, len(c)), (2, 2, None, 43))
        equal(c.data.delete_many(prop("n").equal(999)).matches, 0)
        left = [n for n in range(5, 50) if n not in (9, 10) and n % 2 == 1 and n <= 40]
        done = c.data.delete_many(prop("even").equal(True) | prop("n").greater_than(40))
        equal((done.successful, [o.properties["n"] for o in c.iterator()]), (43 - len(left), left))


def test_references(bin_dir):
    with connected(bin_dir) as (client, node):
        target = client.collections.create("Target", properties=[Property(name="n", data_type=DataType.INT)])
        equal(target.data.insert_many([DataObject({"n": n}, id_of(n)) for n in range(5)]).errors, {})
        c = client.collections.create("From", references=[ReferenceProperty(name="to", target_collection="Target")])

        def linked(of):
            o = c.query.fetch_object_by_id(of, return_references=QueryReference(link_on="to"))
            return sorted(r.properties["n"] for r in o.references["to"].objects) if o.references else []

        one = c.data.insert({"t": "x"}, references={"to": [id_of(0), id_of(1)]})
        two = c.data.insert({"t": "y"})
        equal((linked(one), linked(two)), ([0, 1], []))
        c.data.reference_add(two, "to", id_of(2))
        equal(c.data.reference_add_many([DataReference(from_property="to", from_uuid=two, to_uuid=id_of(n))
                                         for n in (3, 4)]).errors, {})
        equal(linked(two), [2, 3, 4])
        c.data.reference_replace(two, "to", [id_of(1), id_of(4)])
        c.data.reference_delete(two, "to", id_of(4))
        equal(linked(two), [1])
        three = uuid.uuid4()
        equal(c.data.insert_many([DataObject({"t": "z"}, three, references={"to": [id_of(3)]})]).errors, {})
        done = c.data.insert_many([DataObject({"t": "w"}, references={"to": [id_of(99)]}),
                                   DataObject({"t": "v"}, id_of(100))])
        check(list(done.errors) == [0] and "no object" in done.errors[0].message.lower(), done.errors)
        with c.batch.dynamic() as batch:
            batch.add_reference(from_uuid=three, from_property="to", to=id_of(0))
        with c.batch.stream() as batch:
            batch.add_reference(from_uuid=three, from_property="to", to=id_of(2))
        equal((c.batch.failed_references, linked(three)), ([], [0, 2, 3]))
        client.export.create(export_id="refs", **AS_PARQUET, wait_for_completion=True,
                             include_collections="From")
        beacons = {r["id"]: sorted(b["beacon"] for b in r["properties"].get("to", [])) for _, r in
                   exported(node, "refs")}
        at = "weaviate://localhost/Target/"
        equal(beacons, {str(one): sorted(f"{at}{id_of(n)}" for n in (0, 1)), str(two): [f"{at}{id_of(1)}"],
                        str(id_of(100)): [], str(three): sorted(f"{at}{id_of(n)}" for n in (0, 2, 3))})


def test_tenants(bin_dir):
    with connected(bin_dir) as (client, node):
        c = client.collections.create("Tenants", multi_tenancy_config=Configure.multi_tenancy())
        c.tenants.create(["a", Tenant(name="b"), Tenant(name="c", activity_status=TenantActivityStatus.INACTIVE)])
        equal({n: t.activity_status for n, t in c.tenants.get().items()},
              {"a": TenantActivityStatus.ACTIVE, "b": TenantActivityStatus.ACTIVE,
               "c": TenantActivityStatus.INACTIVE})
        equal(sorted(c.tenants.get_by_names(["a", "zz"])), ["a"])
        equal((c.tenants.get_by_name("b").name, c.tenants.get_by_name("zz")), ("b", None))
        check(c.tenants.exists("a") and not c.tenants.exists("zz"))
        for tenant, first in (("a", 0), ("b", 100)):
            t = c.with_tenant(tenant)
            equal(t.data.insert_many([DataObject({"n": n}, id_of(n), vector=[1.0]) for n in range(first, first + 30)])
                  .errors, {})
            with t.batch.stream() as batch:
                fill_one = [batch.add_object({"n": n}, uuid=id_of(n), vector=[1.0])
                            for n in range(first + 30, first + 40)]
            equal((len(fill_one), t.batch.failed_objects, len(t)), (10, [], 40))
            equal(sorted(o.properties["n"] for o in t.iterator()), list(range(first, first + 40)))
        raises(WeaviateInsertManyAllFailedError, "not active", c.with_tenant("c").data.insert_many, [{"n": 1}])
        raises(WeaviateQueryError, "", lambda: list(c.with_tenant("zz").iterator()))
        c.tenants.deactivate("b")
        c.tenants.update(Tenant(name="c", activity_status=TenantActivityStatus.ACTIVE))
        c.with_tenant("c").data.insert({"n": 500}, uuid=id_of(500))
        equal([c.tenants.get_by_name(n).activity_status.value for n in "bc"], ["INACTIVE", "ACTIVE"])
        status = client.export.create(export_id="tenants", **AS_PARQUET, wait_for_completion=True)
        equal((status.status, sorted(status.shard_status["Tenants"])), (ExportStatus.SUCCESS, ["a", "b", "c"]))
        got = {}
        for name, row in exported(node, "tenants"):
            got.setdefault(name.split("_")[1], []).append(int(row["properties"]["n"]))
        equal({t: sorted(ns) for t, ns in got.items()},
              {"a": list(range(40)), "b": list(range(100, 140)), "c": [500]})
        c.tenants.activate(["b"])
        c.tenants.remove(["a"])
        equal(sorted(c.tenants.get()), ["b", "c"])
        auto = client.collections.create("Auto", multi_tenancy_config=SHAPES["TenantsAuto"]["multi_tenancy_config"])
        auto.with_tenant("made").data.insert({"n": 1})
        equal(list(auto.tenants.get()), ["made"])
        client.collections.create("Single")
        raises(WeaviateTenantGetError, "multi-tenancy is not enabled", client.collections.get("Single").tenants.get)


# ---- exports ----

def test_exports_as_the_documentation_shows(bin_dir):
    with connected(bin_dir) as (client, node):
        for name in ("Articles", "Products", "TempData"):
            c = client.collections.create(name)
            equal(c.data.insert_many([DataObject({"of": name}, id_of(n), vector=[1.0]) for n in range(10)]).errors, {})
        result = client.export.create(export_id="my-export-include", backend=ExportStorage.FILESYSTEM,
                                      file_format=ExportFileFormat.PARQUET,
                                      include_collections=["Articles", "Products"], wait_for_completion=True)
        equal((result.status, result.collections), (ExportStatus.SUCCESS, ["Articles", "Products"]))
        equal(len(exported(node, "my-export-include")), 20)
        result = client.export.create(export_id="my-export-exclude", backend=ExportStorage.FILESYSTEM,
                                      file_format=ExportFileFormat.PARQUET, exclude_collections=["TempData"],
                                      wait_for_completion=True)
        equal((result.status, sorted(result.collections)), (ExportStatus.SUCCESS, ["Articles", "Products"]))
        name = "my-async-export-" + uuid.uuid4().hex[:8]
        result = client.export.create(export_id=name, backend=ExportStorage.FILESYSTEM,
                                      file_format=ExportFileFormat.PARQUET, include_collections=["Articles"])
        check(result.status in (ExportStatus.STARTED, ExportStatus.TRANSFERRING), result)
        node.wait(name)
        status = client.export.get_status(export_id=name, backend=ExportStorage.FILESYSTEM)
        equal((status.status, status.collections), (ExportStatus.SUCCESS, ["Articles"]))
        equal([s.objects_exported for s in status.shard_status["Articles"].values()], [10])
        check(status.error is None and status.completed_at >= status.started_at and status.took_in_ms >= 0, status)
        check(client.export.cancel(export_id=name, backend=ExportStorage.FILESYSTEM) is False, "it was finished")
        raises(UnexpectedStatusCodeError, "409", client.export.create, export_id=name, **AS_PARQUET)
        raises(UnexpectedStatusCodeError, "422", client.export.create, export_id="s3",
               backend=ExportStorage.S3, file_format=ExportFileFormat.PARQUET)
        raises(UnexpectedStatusCodeError, "404", client.export.get_status, export_id="unknown",
               backend=ExportStorage.FILESYSTEM)
        raises(UnexpectedStatusCodeError, "404", client.export.cancel, export_id="unknown",
               backend=ExportStorage.FILESYSTEM)


def test_exports_to_stores(bin_dir):
    for start, backend in ((stores.versitygw, ExportStorage.S3), (stores.fake_gcs, ExportStorage.GCS),
                           (stores.azurite, ExportStorage.AZURE)):
        with start() as store, connected(bin_dir, EXPORT_DEFAULT_PATH="weekly", **store.env) as (client, node):
            c = client.collections.create("Articles")
            equal(c.data.insert_many([DataObject({"n": n}, id_of(n), vector=[n, 1.0]) for n in range(50)]).errors, {})
            result = client.export.create(export_id="mine", backend=backend, file_format=ExportFileFormat.PARQUET,
                                          wait_for_completion=True)
            equal((result.status, result.collections), (ExportStatus.SUCCESS, ["Articles"]), start.__name__)
            status = client.export.get_status(export_id="mine", backend=backend)
            equal(status.path, f"{store.place}/weekly/mine")
            equal([s.objects_exported for s in status.shard_status["Articles"].values()], [50])
            check(client.export.cancel(export_id="mine", backend=backend) is False, "it was finished")
            found = store.objects("weekly/mine/")
            rows = [r for k, v in found.items() if k.endswith(".parquet") for r in pq.read_table(io.BytesIO(v)).to_pylist()]
            equal(sorted(r["id"] for r in rows), sorted(str(id_of(n)) for n in range(50)), start.__name__)
            check("weekly/mine/export_metadata.json" in found, sorted(found))
            check(not any(store.env.get("AWS_SECRET_ACCESS_KEY", "\0") in line for line in node.log), "a secret in the log")


def test_a_running_export_is_canceled(bin_dir):
    with connected(bin_dir, EXPORT_PARALLELISM=1) as (client, node):
        c = client.collections.create("Big")
        noise = numpy.random.default_rng(1)
        for n in range(0, 20_000, 2000):
            block = noise.random((2000, 512), dtype=numpy.float32)
            equal(c.data.insert_many([DataObject({}, id_of(n + i), vector=block[i]) for i in range(2000)]).errors, {})
        client.export.create(export_id="stopped", **AS_PARQUET)
        status = client.export.get_status(export_id="stopped", **TO_FILES)
        done = client.export.cancel(export_id="stopped", **TO_FILES)
        check(done or status.status == ExportStatus.SUCCESS, "40 MB were exported before the cancel", status)
        if done:
            status = client.export.get_status(export_id="stopped", **TO_FILES)
            equal((status.status, status.error), (ExportStatus.CANCELED, "export was canceled"))
            check(client.export.cancel(export_id="stopped", **TO_FILES) is False)

# ---- roles and users ----

def test_roles_and_users(bin_dir):
    node = Node(bin_dir, AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED="false", AUTHENTICATION_APIKEY_ENABLED="true",
                AUTHENTICATION_APIKEY_ALLOWED_KEYS="root-key", AUTHENTICATION_APIKEY_USERS="root-user",
                AUTHENTICATION_DB_USERS_ENABLED="true", AUTHORIZATION_RBAC_ENABLED="true",
                AUTHORIZATION_RBAC_ROOT_USERS="root-user", SLUICE_API_KEY="root-key")

    def connect(key):
        return weaviate.connect_to_local("127.0.0.1", node.port, node.grpc_port,
                                         auth_credentials=weaviate.auth.Auth.api_key(key))

    raises(UnexpectedStatusCodeError, "401", weaviate.connect_to_local, "127.0.0.1", node.port, node.grpc_port)
    raises(UnexpectedStatusCodeError, "401", connect, "wrong")
    with connect("root-key") as root:
        for name in ("Films", "Secrets"):
            c = root.collections.create(name)
            equal(c.data.insert_many([DataObject({"n": n}, id_of(n), vector=[1.0]) for n in range(10)]).errors, {})
        equal(root.users.get_my_user().user_id, "root-user")
        equal(sorted(root.roles.list_all()), ["admin", "read-only", "root", "viewer"])
        mine = [Permissions.backup(collection="Films", manage=True),
                Permissions.data(collection="Films", read=True),
                Permissions.collections(collection="Films", read_config=True)]
        root.roles.create(role_name="exporter", permissions=mine)
        check(root.roles.exists("exporter") and not root.roles.exists("nobody"))
        key = root.users.db.create(user_id="ann")
        root.users.db.assign_roles(user_id="ann", role_names="exporter")
        equal(list(root.users.db.get_assigned_roles(user_id="ann")), ["exporter"])
        equal([a.user_id for a in root.roles.get_user_assignments("exporter")], ["ann"])
        equal(root.users.db.get(user_id="ann").role_names, ["exporter"])
        with connect(key) as ann:
            equal(ann.users.get_my_user().user_id, "ann")
            equal(list(ann.collections.list_all()), ["Films"])
            equal(len(list(ann.collections.get("Films").iterator())), 10)
            raises(InsufficientPermissionsError, "read_data", lambda: list(ann.collections.get("Secrets").iterator()))
            raises(InsufficientPermissionsError, "create_collections", ann.collections.create, "More")
            failed = raises(WeaviateInsertManyAllFailedError, "", ann.collections.get("Films").data.insert_many,
                            [{"n": 1}])
            check("update_data" in str(failed), failed)
            result = ann.export.create(export_id="hers", **AS_PARQUET, wait_for_completion=True)
            equal((result.status, result.collections), (ExportStatus.SUCCESS, ["Films"]))
            root.export.create(export_id="all", **AS_PARQUET, wait_for_completion=True)
            raises(InsufficientPermissionsError, "403", ann.export.get_status, export_id="all", **TO_FILES)
            root.roles.add_permissions(role_name="exporter", permissions=Permissions.backup(
                collection="Secrets", manage=True))
            equal(ann.export.get_status(export_id="all", **TO_FILES).status, ExportStatus.SUCCESS)
            root.roles.remove_permissions(role_name="exporter", permissions=Permissions.backup(
                collection="Secrets", manage=True))
            raises(InsufficientPermissionsError, "403", ann.export.get_status, export_id="all", **TO_FILES)
        newer = root.users.db.rotate_key(user_id="ann")
        raises(UnexpectedStatusCodeError, "401", connect, key)
        connect(newer).close()
        check(root.users.db.deactivate(user_id="ann"))
        raises(UnexpectedStatusCodeError, "401", connect, newer)
        check(root.users.db.activate(user_id="ann"))
        node.stop()
        node.start()
    with connect("root-key") as root, connect(newer) as ann:
        equal(list(root.users.db.get_assigned_roles(user_id="ann")), ["exporter"])
        equal([p.collection for p in root.roles.get("exporter").backups_permissions], ["Films"])
        root.users.db.revoke_roles(user_id="ann", role_names=["exporter"])
        equal(list(ann.collections.list_all()), [])
        root.roles.delete("exporter")
        check(root.users.db.delete(user_id="ann") and not root.roles.exists("exporter"))
        equal([u.user_id for u in root.users.db.list_all()], ["root-user"])
    node.close()


# ---- the same through the asynchronous client ----

async def asynchronous(node):
    async with weaviate.use_async_with_local("127.0.0.1", node.port, node.grpc_port) as client:
        check(await client.is_ready() and await client.is_live())
        c = await client.collections.create("Films", properties=[Property(name="n", data_type=DataType.INT)])
        equal((await c.data.insert_many([DataObject({"n": n}, id_of(n), vector=[1.0, n]) for n in range(50)])).errors,
              {})
        one = await c.data.insert({"n": 50}, uuid=id_of(50), vector=[1.0, 50.0])
        async with c.batch.stream() as batch:
            for n in range(51, 100):
                await batch.add_object({"n": n}, uuid=id_of(n), vector=[1.0, float(n)])
        equal(c.batch.failed_objects, [])
        done = await c.data.ingest(DataObject({"n": n}, id_of(n), vector=[1.0, n]) for n in range(100, 400))
        equal(done.errors, {})
        await c.data.update(one, {"n": 1050})
        await c.data.replace(id_of(51), {"n": 1051}, vector=[2.0, 2.0])
        check(await c.data.delete_by_id(id_of(0)) and not await c.data.exists(id_of(0)))
        equal((await c.data.delete_many(prop("n").less_than(10))).successful, 9)
        equal((await c.aggregate.over_all(total_count=True)).total_count, 390)
        page = await c.query.fetch_objects(filters=prop("n").greater_than(1000), include_vector=True)
        equal(sorted((o.properties["n"], o.vector["default"]) for o in page.objects),
              [(1050, [1.0, 50.0]), (1051, [2.0, 2.0])])
        equal((await c.query.fetch_object_by_id(id_of(77))).properties, {"n": 77})
        seen = {o.properties["n"] async for o in c.iterator()}
        equal(seen, set(range(10, 400)) - {50, 51} | {1050, 1051})
        await c.config.add_property(Property(name="t", data_type=DataType.TEXT))
        equal([p.name for p in (await c.config.get()).properties], ["n", "t"])
        t = await client.collections.create("Tenants", multi_tenancy_config=Configure.multi_tenancy())
        await t.tenants.create(["a", "b"])
        await t.with_tenant("a").data.insert({"n": 1})
        await t.tenants.deactivate("b")
        equal(sorted(await t.tenants.get()), ["a", "b"])
        equal(sorted(await client.collections.list_all()), ["Films", "Tenants"])
        result = await client.export.create(export_id="async", **AS_PARQUET,
                                            include_collections=["Films"], wait_for_completion=True)
        equal(result.status, ExportStatus.SUCCESS)
        await client.export.create(export_id="async-2", **AS_PARQUET)
        await asyncio.to_thread(node.wait, "async-2")
        status = await client.export.get_status(export_id="async-2", **TO_FILES)
        equal(status.status, ExportStatus.SUCCESS)
        check(await client.export.cancel(export_id="async-2", **TO_FILES) is False)
    equal({r["properties"]["n"] for _, r in exported(node, "async")}, seen)


def test_the_asynchronous_client(bin_dir):
    node = Node(bin_dir)
    asyncio.run(asynchronous(node))
    node.close()


run(dict(globals()))
