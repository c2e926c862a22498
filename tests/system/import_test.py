"""Exports come back: export -> import -> export has the same rows, by pyarrow; real Weaviate's exports are read."""

import json
import pathlib
import struct
import sys
import tempfile
import uuid

import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
import fixtures  # noqa: E402
import stores  # noqa: E402
from node import Node, check, equal, run  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
STATES = ROOT / "tests" / "data" / "weaviate" / "states"


def rows_of(place):
    """(collection, tenant, id) -> what else a row holds but times, which servers set themselves."""
    rows = {}
    for path in sorted(pathlib.Path(place).rglob("*.parquet")):
        table = pq.read_table(path)
        meta = table.schema.metadata
        for row in table.to_pylist():
            key = meta[b"collection"], meta.get(b"tenant"), row["id"]
            check(key not in rows, f"twice: {key}")
            rows[key] = {k: json.loads(v) if isinstance(v, (str, bytes)) and k.endswith(("vectors", "properties")) else v
                         for k, v in row.items() if k not in ("id", "creation_time", "update_time")}
    return rows


def create_classes(node):
    vectors = {"a": {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw"},
               "m": {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw",
                     "vectorIndexConfig": {"multivector": {"enabled": True}}}}
    text = [{"name": "text", "dataType": ["text"]}, {"name": "n", "dataType": ["int"]}]
    classes = [
        {"class": "One", "properties": text},
        {"class": "Named", "properties": text, "vectorConfig": vectors},
        {"class": "Tenants", "properties": text, "multiTenancyConfig": {"enabled": True}},
        # Types whose stored form is not what was sent; references to objects that come later.
        {"class": "Typed", "properties": [{"name": n, "dataType": [t]} for n, t in (
            ("at", "date"), ("where", "geoCoordinates"), ("phone", "phoneNumber"), ("raw", "blob"), ("id2", "uuid"),
            ("d", "number"), ("b", "boolean"), ("list", "text[]"), ("to", "Typed"))]
            + [{"name": "o", "dataType": ["object"], "nestedProperties": [{"name": "x", "dataType": ["int"]}]}]},
    ]
    for c in classes:
        node.ok("POST", "/v1/schema", c)
    node.ok("POST", "/v1/schema/Tenants/tenants", [{"name": "t1"}, {"name": "t2"}, {"name": "empty"}])


def objects():
    for i in range(1200):
        id = str(uuid.uuid5(uuid.NAMESPACE_OID, str(i)))
        properties = {"text": f"line \u2028 \"{i}\" ä", "n": i} if i % 10 else {}
        one = {"class": "One", "id": id, "properties": properties}
        if i % 4:
            one["vector"] = [i + 0.1, -i / 3, 1e-7 * i]
        yield one
        named = {"class": "Named", "id": id, "properties": properties, "vectors": {}}
        if i % 3:
            named["vectors"]["a"] = [i / 7, 2.5]
        if i % 2:
            named["vectors"]["m"] = [[i, 0.5], [1e10, -3]][: 1 + i % 2]
        yield named
        if i < 90:
            yield {"class": "Typed", "id": id, "vector": [i], "properties": {
                "at": "2024-05-06T07:08:09.123456789+02:00", "where": {"latitude": 52.5, "longitude": -0.25},
                "phone": {"input": "020 1234567", "defaultCountry": "nl"}, "raw": "AAEC/w==", "id2": id, "d": 1e21 / (i + 1),
                "b": i % 2 == 0, "list": ["a", "ü"], "o": {"x": i}}}
            yield {"class": "Tenants", "tenant": f"t{1 + i % 2}", "id": id, "properties": properties, "vector": [1, i]}


def load_objects(node):
    batch = list(objects())
    for at in range(0, len(batch), 500):
        for one in node.ok("POST", "/v1/batch/objects", {"objects": batch[at:at + 500]}):
            equal(one["result"].get("errors"), None, one)
    # Each to the next: files are in the order of ids, so half of them lead forward.
    ids = [uuid.uuid5(uuid.NAMESPACE_OID, str(i)) for i in range(90)]
    references = [{"from": f"weaviate://localhost/Typed/{a}/to", "to": f"weaviate://localhost/Typed/{b}"}
                  for a, b in zip(ids, ids[1:] + ids[:1])]
    for one in node.ok("POST", "/v1/batch/references", references):
        equal(one["result"].get("errors"), None, one)
    return len(batch)


def export(node, name, *options):
    code, out, err = node.sluice("create", name, "--wait", "--json", *options)
    equal(code, 0, err)
    return node.folder(name)


def import_json(node, *args, code=0):
    got, out, err = node.sluice("import", *map(str, args), "--json")
    equal(got, code, err)
    return json.loads(out.splitlines()[-1]), err


def schema_file(node):
    path = node.data / "schema-of-test.json"
    path.write_text(json.dumps(node.ok("GET", "/v1/schema")))
    return path


def round_trip(bin_dir, *options):
    first, second = Node(bin_dir), Node(bin_dir)
    create_classes(first)
    count = load_objects(first)
    place = export(first, "one", *options)
    told, _ = import_json(second, place)
    equal((told["stored"], told["refused"], told["created"], told["references"]), (count, 0, 4, 90))
    equal([t["name"] for t in second.ok("GET", "/v1/schema/Tenants/tenants")], ["empty", "t1", "t2"])
    want, got = rows_of(place), rows_of(export(second, "two", *options))
    equal(len(want), count)
    check(want == got, [k for k in want if want[k] != got.get(k)][:3])
    # Once more, over what is there: nothing is made, nothing doubled.
    told, _ = import_json(second, place)
    equal((told["stored"], told["created"]), (count, 0))
    equal(len(rows_of(export(second, "three", *options))), count)
    first.close()
    second.close()


def test_layout_weaviate_comes_back(bin_dir):
    round_trip(bin_dir)


def test_layout_lake_comes_back(bin_dir):
    round_trip(bin_dir, "--layout", "lake")


def test_collections_are_chosen_and_schemas_missed(bin_dir):
    first, second = Node(bin_dir), Node(bin_dir)
    create_classes(first)
    load_objects(first)
    place = export(first, "one")
    schema = schema_file(first)
    (place / "_schema.json").unlink()
    told, err = import_json(second, place, code=1)
    equal((told["stored"], told["created"]), (0, 0))
    check("--schema FILE" in err, err)
    told, _ = import_json(second, place, "-c", "One", "--schema", schema)
    equal((told["stored"], told["files"] > 0, told["created"]), (1200, True, 1))
    _, err = import_json(second, place, "-c", "Nothing", code=1)
    check("collections" in err, err)
    _, err = import_json(second, first.folder("nothing"), code=1)
    check("no export is there" in err, err)
    first.close()
    second.close()


def test_refused_collections_are_told_and_the_others_stored(bin_dir):
    first, second = Node(bin_dir), Node(bin_dir)
    create_classes(first)
    count = load_objects(first)
    place = export(first, "one")
    schema = json.loads((place / "_schema.json").read_text())
    for entry in schema["classes"]:
        if entry["name"] == "One":
            entry["class"]["vectorIndexType"] = "nonsense"
    (place / "_schema.json").write_text(json.dumps(schema))
    told, err = import_json(second, place, code=1)
    equal((told["stored"], told["refused"], told["created"], told["references"]), (count - 1200, 0, 3, 90))
    check("collection One is left out: POST /v1/schema: the server answered 422: " in err and "\"nonsense\"" in err, err)
    told, err = import_json(second, place, "-c", "One", code=1)
    equal(told["stored"], 0)
    check("collection One is left out" in err and "none of its files" not in err, err)
    first.close()
    second.close()


def test_objects_that_cannot_be_sent_are_told(bin_dir):
    node = Node(bin_dir)
    node.ok("POST", "/v1/schema", {"class": "Odd", "properties": [{"name": "n", "dataType": ["int"]}]})
    ids = [str(uuid.UUID(int=i + 1)) for i in range(4)]
    floats = [struct.pack("<2f", 1, v) for v in (1, float("nan"), 2, 3)]
    table = pa.table({"id": ids, "vector": pa.array(floats, pa.binary()),
                      "properties": pa.array([b'{"n":1}', b"{}", b"{broken", b'{"n":"text"}'], pa.binary())})
    place = node.folder("odd")
    place.mkdir(parents=True)
    pq.write_table(table.replace_schema_metadata({"collection": "Odd"}), place / "odd.parquet", compression="snappy")
    told, err = import_json(node, place, code=1)
    equal((told["stored"], told["refused"]), (1, 3), err)
    for words in (f"odd.parquet:2: {ids[1]}: \"vector\" has NaN", f"odd.parquet:3: {ids[2]}: its properties",
                  "odd.parquet:4: "):
        check(words in err, f"{words}: {err}")
    # A file that is damaged ends the import with its name.
    whole = (place / "odd.parquet").read_bytes()
    (place / "odd.parquet").write_bytes(whole[:-1])
    _, err = import_json(node, place, code=1)
    check("odd.parquet: not a Parquet file" in err, err)
    node.close()


def test_exports_in_stores_come_in(bin_dir):
    first = Node(bin_dir)
    first.create_class("A")
    first.insert("A", 300)
    place, schema = export(first, "one"), schema_file(first)
    for start in (stores.versitygw, stores.azurite, stores.fake_gcs):
        with start() as store:
            stores.put_all(store, place.parent)
            second = Node(bin_dir, **store.env)
            told, _ = import_json(second, f"{store.place}/backups/one", "--schema", schema)
            equal((told["stored"], told["refused"], told["created"]), (300, 0, 1), store.place)
            check(rows_of(place) == rows_of(export(second, "two")), store.place)
            _, err = import_json(second, f"{store.place}/backups/nothing", code=1)
            check("no export is there" in err, err)
            second.close()
    first.close()


def test_exports_of_a_real_weaviate_come_in(bin_dir):
    """Classes made by what their rows hold: the exports of servers do not tell their schema."""
    for place in (STATES / "v1.39.0/options/export-clean/options-shared", STATES / "v1.39.0/basic/export-full/basic-shared",
                  STATES / "v1.37.14/options/export-clean/options-shared"):
        node = Node(bin_dir)
        want = rows_of(place)
        classes = {}
        for (collection, tenant, _), row in want.items():
            c = classes.setdefault(collection, {"class": collection.decode(), "vectorConfig": {}})
            if tenant is not None:
                c["multiTenancyConfig"] = {"enabled": True}
            for name, is_multi in [(n, False) for n in row["named_vectors"] or {}] + [(n, True) for n in row["multi_vectors"] or {}]:
                c["vectorConfig"][name] = {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw"}
                if is_multi:
                    c["vectorConfig"][name]["vectorIndexConfig"] = {"multivector": {"enabled": True}}
        for name, c in classes.items():
            # Of an unnamed vector and named ones, as Mixed has them, the latter come by an update.
            is_mixed = c["vectorConfig"] and any(row["vector"] is not None for key, row in want.items() if key[0] == name)
            if not c["vectorConfig"] or is_mixed:
                named = c.pop("vectorConfig")
            shown = node.ok("POST", "/v1/schema", c)
            if is_mixed:
                node.ok("PUT", f"/v1/schema/{c['class']}", shown | {"vectorConfig": named})
        # Properties that refer are not guessed from references.
        for collection, name, target in sorted({(key[0].decode(), name, to["beacon"].split("/")[3])
                                                for key, row in want.items()
                                                for name, value in (row["properties"] or {}).items() if isinstance(value, list)
                                                for to in value if isinstance(to, dict) and "beacon" in to}):
            node.ok("POST", f"/v1/schema/{collection}/properties", {"name": name, "dataType": [target]})
        chosen = [a for name in classes for a in ("-c", name.decode())]
        told, err = import_json(node, place, *chosen)
        equal((told["stored"], told["refused"]), (len(want), 0), err)
        equal(told["references"], sum(json.dumps(row["properties"]).count("\"beacon\"") for row in want.values()))
        got = rows_of(export(node, "again"))
        equal(set(got), set(want))
        for key, row in want.items():
            for column in ("vector", "named_vectors", "multi_vectors"):
                equal(got[key][column], row[column], f"{key} {column}")
        node.close()


def hashes(place):
    manifest = json.loads((place / "_manifest.json").read_text())
    return {c["name"]: (c["rows"], c["rowHash"]) for c in manifest["collections"]}


def tenant_states(node):
    return {(c["class"], t["name"]): t["activityStatus"] for c in node.ok("GET", "/v1/schema")["classes"]
            if c["multiTenancyConfig"]["enabled"] for t in node.ok("GET", f"/v1/schema/{c['class']}/tenants")}


def test_cold_tenants_of_a_real_weaviate_are_cold_again(bin_dir):
    tenants = STATES / "v1.34.20/tenants"
    state = fixtures.State(tenants, "clean")
    want = {(c, t): s for c, listed in state.tenant_states(state.truth_dir()).items() for t, s in listed.items()}
    equal(set(want.values()), {"HOT", "COLD"})
    with tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
        fixtures.unpack(tenants / "data.tar.zst", folder, "clean")
        node = Node(bin_dir)
        code, _, err = node.sluice("export", f"{folder}/clean", folder, "--id", "x", "--source", "weaviate")
        equal(code, 0, err)
        stored = []
        for name in ("again", "once-more"):  # the second time they are there, and COLD
            told, err = import_json(node, f"{folder}/x")
            equal(told["refused"], 0, err)
            stored.append(told["stored"])
            equal(tenant_states(node), want)
            equal(hashes(export(node, name)), hashes(pathlib.Path(folder) / "x"))
        check(stored[0] == stored[1] > 0, stored)
        # What was HOT at the server stays so.
        node.ok("PUT", "/v1/schema/Coll/tenants", [{"name": "cold1", "activityStatus": "HOT"}])
        import_json(node, f"{folder}/x")
        equal(tenant_states(node), want | {("Coll", "cold1"): "HOT"})
        node.close()


def test_unnamed_and_named_vectors_of_a_class_come_in(bin_dir):
    for version in ("v1.34.20", "v1.39.0"):
        basic = STATES / version / "basic"
        with tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
            fixtures.unpack(basic / "data.tar.zst", folder, "clean")
            node, theirs = Node(bin_dir), pathlib.Path(folder) / "x"
            code, _, err = node.sluice("export", f"{folder}/clean", folder, "--id", "x", "--source", "weaviate")
            equal(code, 0, err)
            told, err = import_json(node, theirs)
            equal((told["refused"], told["created"]), (0, len(hashes(theirs))), err)
            class_ = node.ok("GET", "/v1/schema/Mixed")
            equal((class_["vectorizer"], class_["vectorIndexType"], set(class_["vectorConfig"])), ("none", "hnsw", {"extra"}))
            equal(hashes(export(node, "again")), hashes(theirs), version)
            truth = fixtures.State(basic, "clean")
            rows = [json.loads(l) for l in truth.files[f"{truth.truth_dir()}/Mixed.jsonl"].splitlines()]
            check(any("vector" in r and "vectors" in r for r in rows), rows)
            for row in rows:
                got = node.ok("GET", f"/v1/objects/Mixed/{row['id']}?include=vector")
                equal([got.get(k) for k in ("vector", "vectors")], [row.get(k) for k in ("vector", "vectors")])
            node.close()


def test_rows_of_a_real_weaviate_keep_their_hashes(bin_dir):
    """The server's own export, imported, holds what its data directory held, which we read apart from it."""
    for version in ("v1.37.14", "v1.39.0"):
        options = STATES / version / "options"
        with tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
            fixtures.unpack(options / "data.tar.zst", folder, "clean")
            node, theirs = Node(bin_dir), pathlib.Path(folder) / "theirs"
            code, _, err = node.sluice("export", f"{folder}/clean", str(theirs), "--id", "x", "--source", "weaviate")
            equal(code, 0, err)
            told, err = import_json(node, options / "export-clean/options-shared", "--schema", theirs / "x/_schema.json")
            equal((told["stored"], told["refused"]), (254, 0), err)
            equal(hashes(export(node, "again")), hashes(theirs / "x"), version)
            node.close()


run(dict(globals()))
