"""Rows of an export and objects as a server answered them, brought to one form and compared.

That form is {"created", "updated": ms, "vector": bytes, "named": {name: bytes}, "multi": {name:
[bytes]}, "properties": canonical JSON text}: vectors as the little-endian bits of float32, numbers in
properties as float64, because that is all a server's answer holds of them.
"""

import array
import json
import pathlib

import pyarrow.parquet as pq

BYTE_COLUMNS = ("vector", "named_vectors", "multi_vectors", "properties")
SHOWN = 5  # differences told per collection


def parse(text):
    """JSON with every number as float64, so that -0 keeps its sign and 1 equals 1.0."""
    return json.loads(text, parse_int=float)


def bits(vector):
    return array.array("f", vector or []).tobytes()


def split_vectors(vectors):
    """(named, multi) of {name: vector or matrix}."""
    named, multi = {}, {}
    for name, value in (vectors or {}).items():
        if value and isinstance(value[0], list):
            multi[name] = [bits(v) for v in value]
        elif value:
            named[name] = bits(value)
    return named, multi


def canonical(properties):
    """Properties as text; a reference's `href` is made by the REST layer and not stored."""
    def without_href(value):
        if isinstance(value, list):
            return [{k: v for k, v in one.items() if k != "href"} if isinstance(one, dict) and "beacon" in one else one
                    for one in value]
        return value
    return json.dumps({k: without_href(v) for k, v in (properties or {}).items()}, sort_keys=True)


def from_truth(lines, by_key=False):
    """{id: row} of JSON lines, or {(class, tenant): {id: row}} of lines that say where they belong."""
    found = {}
    for line in lines.splitlines():
        if not line:
            continue
        o = parse(line)
        named, multi = split_vectors(o.get("vectors"))
        row = {"created": int(o["creationTimeUnix"]), "updated": int(o["lastUpdateTimeUnix"]),
               "vector": bits(o.get("vector")), "named": named, "multi": multi,
               "properties": canonical(o.get("properties"))}
        (found.setdefault((o["class"], o.get("tenant")), {}) if by_key else found)[o["id"]] = row
    return found


def from_expect(expect):
    """What a request leaves behind, in the form content() gives; None for a delete."""
    if expect is None:
        return None
    vector = expect.get("vector")
    named, multi = split_vectors(vector if isinstance(vector, dict) else None)
    return (bits(vector if isinstance(vector, list) else None), tuple(sorted(named.items())),
            tuple(sorted((k, tuple(v)) for k, v in multi.items())), canonical(expect["properties"]))


def content(row):
    """A row without its times, hashable: what a request decides."""
    return None if row is None else (row["vector"], tuple(sorted(row["named"].items())),
                                     tuple(sorted((k, tuple(v)) for k, v in row["multi"].items())), row["properties"])


class Export:
    """The Parquet files and records of one export."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.metadata = json.loads((self.folder / "export_metadata.json").read_text())
        self.units, self.raw = set(), {}  # raw: {(class, tenant): {id: row of the file}}
        self.faults = []
        for path in sorted(self.folder.glob("*.parquet")):
            self.read(path)

    def read(self, path):
        table = pq.read_table(path)
        about = {k.decode(): v.decode() for k, v in table.schema.metadata.items()}
        self.units.add(about.get("timestamp_unit", "ms"))
        key = (about["collection"], about.get("tenant"))
        rows = self.raw.setdefault(key, {})
        ids = table.column("id").to_pylist()
        if ids != sorted(ids):
            self.faults.append(f"{path.name}: ids are not ascending")
        if len(set(ids)) != len(ids) or set(ids) & set(rows):
            self.faults.append(f"{path.name}: an id twice in {key}")
        rows.update(zip(ids, table.to_pylist()))

    def rows(self):
        """{(class, tenant): {id: row in the common form}}"""
        scale = 1 if self.units <= {"ms"} else 1_000_000
        return {key: {i: self.common(r, scale) for i, r in rows.items()} for key, rows in self.raw.items()}

    @staticmethod
    def common(raw, scale):
        named, multi = split_vectors(parse(raw["named_vectors"]) if raw["named_vectors"] else None)
        if raw["multi_vectors"]:
            multi = split_vectors(parse(raw["multi_vectors"]))[1]
        # A time that is no whole millisecond was never in a server's answer: let it differ.
        def whole(ns):
            return ns // scale if ns % scale == 0 else ns / scale
        return {"created": whole(raw["creation_time"]), "updated": whole(raw["update_time"]),
                "vector": raw["vector"] or b"", "named": named, "multi": multi,
                "properties": canonical(parse(raw["properties"]) if raw["properties"] else None)}

    def shards(self):
        """{(class, shard or tenant): status record}"""
        return {(c, s): record for c, shards in self.metadata["shardStatus"].items() for s, record in shards.items()}


def shorten(value):
    text = value.hex() if isinstance(value, bytes) else repr(value)
    return text if len(text) <= 160 else text[:160] + "…"


def compare(got, want, what):
    """Sentences about differences of two {id: row}."""
    faults = []
    for name, ids in (("missing", want.keys() - got.keys()), ("not in the truth", got.keys() - want.keys())):
        if ids:
            faults.append(f"{what}: {len(ids)} objects {name}, e.g. {min(ids)}")
    differing = [i for i in sorted(want.keys() & got.keys()) if got[i] != want[i]]
    for i in differing[:SHOWN]:
        for field in want[i]:
            if got[i][field] != want[i][field]:
                faults.append(f"{what} {i} {field}: got {shorten(got[i][field])}, want {shorten(want[i][field])}")
    if len(differing) > SHOWN:
        faults.append(f"{what}: {len(differing)} objects differ")
    return faults
