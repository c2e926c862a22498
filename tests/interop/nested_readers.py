"""Nested rows of the Parquet writer: lists, groups and lists of both, nulls and empty ones at every level.

Values are made here and taken apart into the levels of each leaf here, too (as the Dremel paper has it);
pq_cases only carries them over. pyarrow, DuckDB and polars must put them together again. Entries and
rows of every page are held against the levels.
"""

import itertools
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

import duckdb
import polars
import pyarrow.parquet as pq

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
from node import check, equal, run  # noqa: E402
from parquet_pages import Thrift, read_footer, walk_pages  # noqa: E402

MIB = 1 << 20
PAGE_ROWS = 20000
ENCODINGS = {"split": 9}


# ---- types -------------------------------------------------------------------------------------
class Leaf:
    def __init__(self, kind, optional=True, **more):
        self.kind, self.optional, self.more, self.leaves = kind, optional, more, 1

    def nodes(self, name):
        yield {"name": name, "type": self.kind, "optional": self.optional, **self.more}

    def make(self, rng):
        return {"boolean": lambda: rng.random() < 0.5, "int64": lambda: rng.choice([0, -1, 2**63 - 1, -2**63, rng.getrandbits(40)]),
                "float": lambda: struct.unpack("<f", struct.pack("<f", rng.gauss(0, 1e9)))[0],
                "double": lambda: rng.choice([0.0, float("inf"), 1e-300, rng.gauss(0, 1)]),
                "bytes": lambda: rng.choice(["", "a", "Grüße 漢字 😀", "\0", "x" * rng.randrange(300)]),
                "fixed": lambda: rng.randbytes(self.more.get("len", 0))}[self.kind]()

    def carried(self, value):
        if isinstance(value, float):
            return struct.pack("<f" if self.kind == "float" else "<d", value).hex()
        return value.encode().hex() if isinstance(value, str) else value.hex() if isinstance(value, bytes) else value

    def shred(self, value, rep, level, defined, out):
        out[0].append([rep, defined + self.optional, self.carried(value)])


class List:
    def __init__(self, element, optional=True):
        self.element, self.optional, self.leaves = element, optional, element.leaves

    def nodes(self, name):
        yield {"name": name, "type": "group", "optional": self.optional, "annotation": "list", "children": 1}
        yield {"name": "list", "type": "group", "repeated": True, "children": 1}
        yield from self.element.nodes("element")

    def make(self, rng):
        return [value(self.element, rng) for _ in range(rng.choice([0, 1, 1, 2, 5, 40] if isinstance(self.element, Leaf) else [0, 1, 2]))]

    def shred(self, value, rep, level, defined, out):
        defined += self.optional
        if not value:
            absent(out, rep, defined)
        elif isinstance(self.element, Leaf) and self.element.kind in ("float", "fixed") and None not in value:
            # What vectors are written by: all elements at once.
            out[0].append([rep, defined + 1 + self.element.optional, "".join(map(self.element.carried, value))])
            out[0][-1].append(len(value))
        else:
            for n, one in enumerate(value):
                shred(self.element, one, level + 1 if n else rep, level + 1, defined + 1, out)


class Struct:
    def __init__(self, optional=True, **members):
        self.members, self.optional, self.leaves = members, optional, sum(m.leaves for m in members.values())

    def nodes(self, name):
        yield {"name": name, "type": "group", "optional": self.optional, "children": len(self.members)}
        for key, member in self.members.items():
            yield from member.nodes(key)

    def make(self, rng):
        return {key: value(member, rng) for key, member in self.members.items()}

    def shred(self, value, rep, level, defined, out):
        for key, member in self.members.items():
            shred(member, value[key], rep, level, defined + self.optional, out[:member.leaves])
            out = out[member.leaves:]


def value(kind, rng):
    return None if kind.optional and rng.random() < 0.2 else kind.make(rng)


def absent(out, rep, defined):
    for entries in out:
        entries.append([rep, defined])


def shred(kind, value, rep, level, defined, out):
    if value is None:
        absent(out, rep, defined)
    else:
        kind.shred(value, rep, level, defined, out)


def deep(levels):
    kind = Leaf("int64")
    for n in range(levels):
        kind = Struct(**{f"s{n}": kind})
    return kind


def deep_list(levels, leaf):
    return List(deep_list(levels - 1, leaf)) if levels > 1 else List(leaf)


TEXT = Leaf("bytes", annotation="string")
TREES = {
    "ints": List(Leaf("int64")),
    "needed_ints": List(Leaf("int64", optional=False), optional=False),
    "bits": List(Leaf("boolean")),
    "floats": List(Leaf("float", optional=False, profile="split")),
    "gappy_floats": List(Leaf("float", profile="split")),
    "uuids": List(Leaf("fixed", len=16)),
    "texts": List(TEXT),
    "matrix": List(List(Leaf("float", optional=False, profile="split"))),
    "cube": List(List(List(TEXT))),
    "struct": Struct(a=Leaf("int64"), b=TEXT, c=Leaf("boolean", optional=False), d=Struct(x=Leaf("double"), y=Leaf("float"))),
    "structs": List(Struct(a=Leaf("int64"), b=List(TEXT), c=Struct(x=Leaf("double"), y=List(Struct(z=Leaf("boolean")))))),
    "needed_structs": List(Struct(optional=False, a=Leaf("int64", optional=False), b=Leaf("bytes", annotation="string")), optional=False),
    "struct_of_lists": Struct(a=List(Leaf("int64")), b=List(List(TEXT)), c=List(Struct(x=Leaf("double")))),
}
DEEPEST = {"structs": deep(23), "lists": deep_list(11, Leaf("int64"))}


# ---- a file and its truth ----------------------------------------------------------------------
class Case:
    def __init__(self, bin_dir, tree, rows, group_rows=122880, group_bytes=64 * MIB, codec="zstd"):
        self.tree, self.rows, self.codec = tree, rows, codec
        self.folder = tempfile.TemporaryDirectory(prefix="sluice-nested-")
        self.path = os.path.join(self.folder.name, "case.parquet")
        self.nodes = list(itertools.chain(*(kind.nodes(name) for name, kind in tree.items())))
        self.columns = [n for n in self.nodes if n["type"] != "group"]
        self.entries = []  # of each row: those of each leaf
        spec = {"nodes": self.nodes, "codec": codec, "group_bytes": group_bytes, "group_rows": group_rows, "sorted": -1, "level": 1}
        source = os.path.join(self.folder.name, "rows")
        with open(source, "w", encoding="ascii") as out:
            out.write(json.dumps(spec) + "\n")
            for row in rows:
                shredded = [[] for _ in self.columns]
                at = 0
                for name, kind in tree.items():
                    shred(kind, row[name], 0, 0, 0, shredded[at:at + kind.leaves])
                    at += kind.leaves
                self.entries.append(shredded)
                out.write(json.dumps([[e[:3] for e in entries] for entries in shredded]) + "\n")
        program = str(pathlib.Path(bin_dir).parent / "debug" / "tests" / "interop" / "pq_cases")
        subprocess.run([program, source, self.path], check=True)

    def check(self):
        for name, read in READERS.items():
            got = read(self.path)
            equal(len(got), len(self.rows), f"{name}: rows")
            for n, (seen, want) in enumerate(zip(got, self.rows)):
                check(plain(seen) == want, f"{name}, row {n}: {str(plain(seen))[:400]}, not {str(want)[:400]}")
        self.check_pages()
        return self

    def check_pages(self):
        """Every page holds whole rows, and says how many entries and nulls they have."""
        data = pathlib.Path(self.path).read_bytes()
        footer, first = read_footer(data), 0
        equal(footer[3], len(self.rows), "num_rows")
        for group in footer[4]:
            rows = self.entries[first:first + group[3]]
            first += group[3]
            for i, chunk in enumerate(group[1]):
                entries = [row[i] for row in rows]
                pages = list(walk_pages(data, chunk[3], ENCODINGS.get(self.columns[i].get("profile"), 0)))
                starts = [location[3] for location in Thrift(data, chunk[4]).struct()[1]]
                equal((starts[0], len(starts)), (0, len(pages)), "offset index")
                for page, start, end in zip(pages, starts, starts[1:] + [len(rows)]):
                    check(0 < end - start <= PAGE_ROWS, f"rows of a page: {end - start}")
                    equal(page[2], sum(map(count, entries[start:end])), "entries of a page")
                equal(chunk[3][5], sum(map(count, entries)), "num_values")
                equal(chunk[3][12][3], sum(len(e) == 2 for row in entries for e in row), "null_count")
        equal(first, len(self.rows), "rows of the groups")

    def pages(self, column):
        """Their number in the first row group."""
        data = pathlib.Path(self.path).read_bytes()
        return len(Thrift(data, read_footer(data)[4][0][1][column][4]).struct()[1])


def count(entries):
    return sum(e[3] if len(e) > 3 else 1 for e in entries)


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def read_duckdb(path):
    with duckdb.connect() as db:
        return db.execute("select * from read_parquet(?)", [path]).to_arrow_table().to_pylist()


READERS = {"pyarrow": lambda path: pq.read_table(path, page_checksum_verification=True).to_pylist(), "duckdb": read_duckdb,
           "polars": lambda path: polars.read_parquet(path).to_dicts()}


def random_rows(tree, number, seed=1):
    rng = random.Random(seed)
    return [{name: value(kind, rng) for name, kind in tree.items()} for _ in range(number)]


# ---- tests -------------------------------------------------------------------------------------
def test_nulls_and_empty_lists_at_every_level(bin_dir):
    rows = random_rows(TREES, 800)
    for codec, group_rows in (("zstd", 122880), ("zstd", 7), ("snappy", 999), ("lz4_raw", 500), ("none", 799)):
        Case(bin_dir, TREES, rows, group_rows=group_rows, codec=codec).check()
    for name in ("ints", "texts", "structs"):
        seen = [row[name] for row in rows]
        check(None in seen and [] in seen and [None] in seen, f"{name}: no null, empty list or list of one null")


def test_each_tree_alone(bin_dir):
    for name, kind in TREES.items():
        for number in (0, 1, 2, 9):
            Case(bin_dir, {name: kind}, random_rows({name: kind}, number, seed=number)).check()


def test_one_row_of_the_least(bin_dir):
    for name, kind in TREES.items():
        least = [None] if kind.optional else []
        if isinstance(kind, List):
            least += [[], [None]] if kind.element.optional else [[]]
        for one in least:
            Case(bin_dir, {name: kind}, [{name: one}]).check()


def test_columns_of_nulls_alone(bin_dir):
    tree = {name: kind for name, kind in TREES.items() if kind.optional}
    Case(bin_dir, tree, [{name: None for name in tree}] * 22_000, group_rows=21_000).check()
    empty = {name: [] if isinstance(kind, List) else None for name, kind in tree.items()}
    Case(bin_dir, tree, [empty] * 20_001).check()


def test_as_deep_as_the_writer_goes(bin_dir):
    for kind in DEEPEST.values():
        Case(bin_dir, {"v": kind}, random_rows({"v": kind}, 300)).check()
    rows = []
    for levels in range(24):  # null at each depth in turn, then a value
        one = 7 if levels == 23 else None
        for n in range(levels):
            one = {f"s{22 - levels + n + 1}" if levels < 23 else f"s{n}": one}
        rows.append({"v": one})
    Case(bin_dir, {"v": DEEPEST["structs"]}, rows).check()


def test_lists_longer_than_pages(bin_dir):
    """A row is never cut, whatever it holds: a list of half a million elements is one page."""
    tree = {"ints": TREES["ints"], "texts": TREES["texts"], "bits": TREES["bits"], "matrix": TREES["matrix"]}
    long = {"ints": list(range(300_000)), "texts": ["z" * 70_000 + str(n) for n in range(60)], "bits": [True, None, False] * 100_001,
            "matrix": [[1.5] * 100_000, None, [], [2.5] * 300_001]}
    nulls = {"ints": [None] * 500_000, "texts": [""] * 100_000, "bits": None, "matrix": [None] * 50_000 + [[]] * 50_000}
    rows = random_rows(tree, 50) + [long] + random_rows(tree, 50, seed=2) + [nulls, long] + random_rows(tree, 1, seed=3)
    Case(bin_dir, tree, rows).check()


def test_texts_across_pages(bin_dir):
    """Of each size around a page's, between short ones."""
    tree = {"t": TEXT, "l": List(TEXT)}
    sizes = [MIB + d for d in (-5, -4, -3, -1, 0, 1)] + [2 * MIB, 5 * MIB + 1]
    texts = list(itertools.chain(*(("x" * size, "short", None) for size in sizes)))
    case = Case(bin_dir, tree, [{"t": t, "l": [t, None, t]} for t in texts]).check()
    check(case.pages(0) > len(sizes), f"{case.pages(0)} pages")


def test_rows_at_the_border_of_a_page(bin_dir):
    """One row less, as many, one more: by rows and by bytes."""
    tree = {"ints": TREES["ints"], "bits": TREES["bits"], "struct": Struct(a=Leaf("int64"), b=Leaf("boolean", optional=False))}
    for number in (PAGE_ROWS - 1, PAGE_ROWS, PAGE_ROWS + 1, 2 * PAGE_ROWS):
        rows = [{"ints": [n] * (n % 3), "bits": [n % 2 == 0] if n % 5 else None, "struct": {"a": n, "b": n % 3 == 0} if n % 4 else None}
                for n in range(number)]
        case = Case(bin_dir, tree, rows).check()
        equal(case.pages(0), -(-number // PAGE_ROWS), f"pages of {number} rows")
    wide = {"floats": TREES["floats"], "ints": TREES["ints"]}
    per_page = MIB // (64 * 8)
    for number in (per_page - 1, per_page, per_page + 1, 2 * per_page):
        rows = [{"floats": [float(n)] * 64, "ints": list(range(n, n + 64))} for n in range(number)]
        case = Case(bin_dir, wide, rows, group_rows=number).check()
        equal((case.pages(0), case.pages(1)), (-(-number // (2 * per_page)), -(-number // per_page)), f"pages of {number} rows")


def test_groups_by_bytes(bin_dir):
    tree = {"matrix": TREES["matrix"], "structs": TREES["structs"]}
    rows = [{"matrix": [[float(n)] * 400] * 5, "structs": None} for n in range(1500)]
    case = Case(bin_dir, tree, rows, group_bytes=4 * MIB).check()
    check(pq.ParquetFile(case.path).metadata.num_row_groups > 1, "several row groups")


run(dict(globals()))
