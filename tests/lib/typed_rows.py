"""Rows with a property of every data type, and what a reader of layout `lake` must see of them.

What each typed value must be is worked out here from the JSON that was sent, by Python's own parsers.
"""

import base64
import datetime
import json
import re
import struct
import uuid

from node import equal

UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def f32(v):
    return struct.unpack("<f", struct.pack("<f", v))[0]


def micros(text):
    """Microseconds since 1970 of RFC 3339 text, digits below cut."""
    date, fraction, zone = re.fullmatch(r"(.{19})(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", text).groups()
    offset = datetime.timedelta(0)
    if zone != "Z":
        sign = -1 if zone[0] == "-" else 1
        offset = sign * datetime.timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
    at = datetime.datetime.strptime(date, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc) - offset
    return (at - EPOCH) // datetime.timedelta(microseconds=1) + int(((fraction or "") + "000000")[:6])


def members(names, value):
    return None if value is None else {k: value.get(k) for k in names}


def typed(data_type, value, nested=None):
    """What a reader must see of a property's JSON value."""
    if value is None:
        return None
    if data_type[:1].isupper():
        return [{"beacon": v["beacon"]} for v in value]
    if data_type.endswith("[]"):
        return [typed(data_type[:-2], v, nested) for v in value]
    if data_type == "object":
        return {p["name"]: typed(p["dataType"][0], value.get(p["name"]), p.get("nestedProperties")) for p in nested}
    if data_type == "geoCoordinates":
        return {k: f32(value[k]) for k in ("latitude", "longitude")}
    if data_type == "phoneNumber":
        return members(["input", "internationalFormatted", "nationalFormatted", "national", "countryCode",
                        "defaultCountry", "valid"], value)
    made = {"text": str, "string": str, "int": int, "number": float, "boolean": bool, "date": micros,
            "uuid": lambda v: uuid.UUID(v).bytes, "blob": base64.b64decode}
    return made[data_type](value)


def plain(value):
    """Values of all readers in one form: times as microseconds, UUIDs as bytes."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, datetime.datetime):
        return (value - EPOCH) // datetime.timedelta(microseconds=1)
    if isinstance(value, str) and UUID.fullmatch(value):  # DuckDB's
        return uuid.UUID(value).bytes
    return value.bytes if isinstance(value, uuid.UUID) else value


NESTED = [{"name": "a", "dataType": ["int"]}, {"name": "b", "dataType": ["text[]"]},
          {"name": "inner", "dataType": ["object[]"], "nestedProperties": [
              {"name": "x", "dataType": ["number"]}, {"name": "y", "dataType": ["date"]}]}]
TYPES = {"t": "text", "ta": "text[]", "i": "int", "ia": "int[]", "n": "number", "na": "number[]", "b": "boolean",
         "ba": "boolean[]", "d": "date", "da": "date[]", "u": "uuid", "ua": "uuid[]", "bl": "blob",
         "geo": "geoCoordinates", "o": "object", "oa": "object[]"}
PROPERTIES = [{"name": k, "dataType": [v], **({"nestedProperties": NESTED} if v.startswith("object") else {})}
              for k, v in TYPES.items()]


def value_of(name, n):
    """Values of row n: present, null, empty and odd ones take turns."""
    texts = ["", "plain", 'quote " \\ slash', "Grüße 漢字 😀", "tab\tline\n\u0001", "é" * 40, "z" * 5000, "\U0010ffff" * 20]
    ints = [0, -1, 2**53, -(2**53), n]
    numbers = [0.0, -0.0, 1.5, 1e300, -1e-300, n / 7]
    dates = ["2024-02-29T12:34:56.123456789Z", "1969-12-31T23:59:59.999999999Z", "2023-01-01T00:00:00+05:30",
             "1600-06-15T01:02:03Z", "2500-01-01T00:00:00.5-02:00"]
    uuids = [str(uuid.UUID(int=n * 0x9E3779B97F4A7C15F39CC0605CEDC834 % 2**128)), "ffffffff-ffff-ffff-ffff-ffffffffffff"]
    inner = [{"x": numbers[n % 6], "y": dates[n % 5]}, {"y": dates[(n + 1) % 5]}][:n % 3]
    nested = {"a": n, "b": texts[:n % 4], "inner": inner} if n % 5 else {"a": n}
    base = {"t": texts[n % 8], "i": ints[n % 5], "n": numbers[n % 6], "b": n % 2 == 0, "d": dates[n % 5],
            "u": uuids[n % 2], "bl": base64.b64encode(bytes(range(n % 50))).decode(),
            "geo": {"latitude": (n % 180) / 2 - 45, "longitude": 12.345678}, "o": nested}
    lists = {"ta": texts, "ia": ints, "na": numbers, "ba": [True, False, True], "da": dates, "ua": uuids,
             "oa": [nested, {"a": 1}, {"b": ["x"]}]}
    if name in lists:
        return lists[name][:n % (len(lists[name]) + 1)]
    return base[name]


def make_rows(count):
    for n in range(count):
        properties = {k: value_of(k, n) for i, k in enumerate(TYPES) if (n + i) % 7 != 3}
        if not properties.get("bl", "x"):
            del properties["bl"]
        vectors = {}
        if n % 3 != 2:
            vectors["single"] = [f32((n + i) / 3) for i in range(16)]
        if n % 4 == 0:
            vectors["many"] = [[f32(i / 3), float(n)] for i in range(n % 3 + 1)]
        yield {"id": str(uuid.UUID(int=n * 2654435761 << 64 | n)), "properties": properties, "vectors": vectors}


def load(node, name, count):
    """A class of that name with so many rows; {id: row as sent, with its times in microseconds}."""
    none = {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw"}
    node.ok("POST", "/v1/schema", {"class": name, "properties": PROPERTIES, "vectorConfig": {
        "single": none, "many": {**none, "vectorIndexConfig": {"multivector": {"enabled": True}}}}})
    truth = {t["id"]: t for t in make_rows(count)}
    sent = list(truth.values())
    for start in range(0, count, 500):
        for one in node.ok("POST", "/v1/batch/objects", {"objects": [{"class": name, **t} for t in sent[start:start + 500]]}):
            equal(one["result"]["status"], "SUCCESS", str(one.get("result")))
            truth[one["id"]]["times"] = (one["creationTimeUnix"] * 1000, one["lastUpdateTimeUnix"] * 1000)
    return truth


def compare(reader, rows, truth):
    """Rows of layout `lake` as a reader gives them, beside what load() returned."""
    equal((len(rows), len({str(row["id"]) for row in rows})), (len(truth), len(truth)), reader)
    for row in rows:
        row = {k: plain(v) for k, v in row.items()}
        one = truth[str(uuid.UUID(bytes=bytes(row["id"])))]
        equal((row["creation_time"], row["update_time"]), one["times"], reader)
        equal(row["vector"], None, reader)
        equal(row["vector_single"], one["vectors"].get("single"), reader)
        equal(row["multi_vector_many"], one["vectors"].get("many"), reader)
        kept = json.loads(row["properties_json"])
        want = {k: typed(v, kept.get(k), NESTED) for k, v in TYPES.items()}
        equal(row["properties"], want, f"{reader} {one['id']}")
        equal({k: v for k, v in want.items() if v is not None and k in ("t", "i", "b", "ta", "ia", "ba")},
              {k: v for k, v in one["properties"].items() if k in ("t", "i", "b", "ta", "ia", "ba")}, reader)
