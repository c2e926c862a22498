"""The Parquet writer against readers that share no code with it.

The rows of every case are made here and handed to pq_cases, which only carries them over. pyarrow,
DuckDB and polars must return exactly these rows; a checker of our own (tests/lib/parquet_pages.py,
nothing of the writer in it) follows every offset, checksum and index entry. Flat rows; nested ones are
nested_readers.py's.
"""

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
import pyarrow
import pyarrow.parquet as pq

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
from node import check, equal, run  # noqa: E402
from parquet_pages import Thrift, read_footer, walk_pages  # noqa: E402

MIB = 1 << 20
PAGE_BYTES, PAGE_ROWS = MIB, 20000


# ---- cases -------------------------------------------------------------------------------------
def column(name, kind="bytes", optional=True, annotation=None, bounds=False, huffman=False):
    return {"name": name, "type": kind, "optional": optional, "annotation": annotation, "bounds": bounds,
            "profile": "huffman" if huffman else ""}


WEAVIATE = [
    column("id", optional=False, annotation="string", bounds=True),
    column("creation_time", "int64", optional=False, annotation="int64", bounds=True),
    column("update_time", "int64", optional=False, annotation="int64", bounds=True),
    column("vector", huffman=True),
    column("named_vectors", huffman=True),
    column("multi_vectors", huffman=True),
    column("properties"),
]
KV = {"collection": "Films", "tenant": "ü:1", "timestamp_unit": "ns"}


class Case:
    """A file and its truth. Values are bytes, int or None, whatever the annotation."""

    def __init__(self, bin_dir, columns, rows, group_bytes=64 * MIB, group_rows=122880, ascending=-1, kv=KV,
                 **more):
        self.columns, self.rows = columns, rows
        self.group_bytes, self.group_rows, self.ascending, self.kv = group_bytes, group_rows, ascending, kv
        self.folder = tempfile.TemporaryDirectory(prefix="sluice-pq-")
        self.path = os.path.join(self.folder.name, "case.parquet")
        spec = {"nodes": columns, "group_bytes": group_bytes, "group_rows": group_rows, "sorted": ascending,
                "level": 1, "kv": kv, **more}
        source = os.path.join(self.folder.name, "rows")
        with open(source, "w", encoding="ascii") as out:
            out.write(json.dumps(spec) + "\n")
            for row in rows:
                out.write(json.dumps([v.hex() if isinstance(v, bytes) else v for v in row]) + "\n")
        subprocess.run([pq_cases(bin_dir), source, self.path], check=True)

    def groups(self):
        """Row counts as the file has them; the truth is cut the same way."""
        meta = pq.ParquetFile(self.path).metadata
        return [meta.row_group(g).num_rows for g in range(meta.num_row_groups)]


def pq_cases(bin_dir):
    return str(pathlib.Path(bin_dir).parent / "debug" / "tests" / "interop" / "pq_cases")


def uuid_text(n):
    return f"{n * 0x9E3779B97F4A7C15 % 2**32:08x}-0000-4000-8000-{n:012x}".encode()


def weaviate_rows(count, dims=8, seed=1):
    rng = random.Random(seed)
    ids = sorted(uuid_text(n) for n in range(count))
    for n, one in enumerate(ids):
        vector = struct.pack(f"<{dims}f", *(rng.gauss(0, 1) for _ in range(dims)))
        named = b'{"a":[0.1,2],"b":[1e-05]}' if n % 3 == 0 else None
        multi = b'{"m":[[1,2],[3]]}' if n % 5 == 0 else None
        properties = json.dumps({"n": n, "text": "é" * (n % 7)}, ensure_ascii=False).encode()
        yield [one, 1700000000000000000 + n * 1000000, 1700000000000000000 - n, vector if n % 4 else None, named, multi,
               properties if n % 11 else b"{}"]


# ---- readers -----------------------------------------------------------------------------------
def plain(value):
    return value.encode() if isinstance(value, str) else value


def read_pyarrow(path):
    table = pq.read_table(path, page_checksum_verification=True)
    return [list(map(plain, row)) for row in zip(*(c.to_pylist() for c in table.columns))]


def read_duckdb(path):
    with duckdb.connect() as db:
        return [list(map(plain, row)) for row in db.execute("select * from read_parquet(?)", [path]).fetchall()]


def read_polars(path):
    return [list(map(plain, row)) for row in polars.read_parquet(path).rows()]


READERS = {"pyarrow": read_pyarrow, "duckdb": read_duckdb, "polars": read_polars}


def check_rows(case):
    for name, read in READERS.items():
        got = read(case.path)
        equal(len(got), len(case.rows), f"{name}: rows")
        for n, (seen, want) in enumerate(zip(got, case.rows)):
            if seen != want:
                short = [(v[:60] if isinstance(v, bytes) else v) for pair in zip(seen, want) for v in pair]
                raise AssertionError(f"{name}: row {n} differs: {short}")


# ---- a checker of our own ----------------------------------------------------------------------
def bounds_of(kind, values):
    """Smallest and largest of what is there, as the file stores them."""
    known = [v for v in values if v is not None]
    if not known:
        return None
    ends = (min(known), max(known))  # Python compares bytes as unsigned, as the format does
    return tuple(struct.pack("<q", v) for v in ends) if kind == "int64" else ends


def check_chunk(data, case, index, chunk, values):
    kind, spec = case.columns[index]["type"], case.columns[index]
    meta = chunk[3]
    equal(chunk[2], 0, "file_offset is deprecated and 0")
    equal(meta[2], [0, 3], "encodings: PLAIN and RLE for levels")
    equal(meta[3], [spec["name"].encode()], "path")
    equal((meta[4], meta[5]), (6, len(values)), "ZSTD; num_values counts nulls")
    check(11 not in meta, "no dictionary")
    pages = list(walk_pages(data, meta))
    equal([e for e in meta[13]], [{1: 0, 2: 0, 3: len(pages)}], "encoding_stats")
    stats, bounds = meta[12], bounds_of(kind, values) if spec["bounds"] else None
    equal(stats[3], sum(v is None for v in values), "null_count")
    equal((stats.get(6), stats.get(5)), bounds or (None, None), "min, max")
    equal((stats.get(7), stats.get(8)), (True, True) if bounds else (None, None), "both exact")
    check(1 not in stats and 2 not in stats, "no deprecated bounds")
    locations = Thrift(data, chunk[4]).struct()[1]
    starts = [0]
    for page in pages:
        starts.append(starts[-1] + page[2])
    equal(starts[-1], len(values), "rows of the pages")
    equal(locations, [{1: p[0], 2: p[1], 3: s} for p, s in zip(pages, starts)], "offset index")
    for page, first in zip(pages, starts):
        cut = values[first:first + page[2]]
        sizes = [8 if kind == "int64" else 4 + len(v) for v in cut if v is not None]
        check(page[2] <= PAGE_ROWS and sum(sizes[:-1]) < PAGE_BYTES, "page limits")
        check(page[2] == 1 or max(sizes, default=0) < PAGE_BYTES + 4, "a large value stands alone")
    if spec["bounds"]:
        check_column_index(data, kind, chunk, [values[a:b] for a, b in zip(starts, starts[1:])])
    else:
        check(6 not in chunk and 7 not in chunk, "no column index")


def check_column_index(data, kind, chunk, pages):
    thrift = Thrift(data, chunk[6])
    column_index = thrift.struct()
    equal(thrift.at, chunk[6] + chunk[7], "length of the column index")
    bounds = [bounds_of(kind, page) for page in pages]
    equal(column_index[1], [b is None for b in bounds], "null_pages")
    equal(column_index[2], [b[0] if b else b"" for b in bounds], "min_values")
    equal(column_index[3], [b[1] if b else b"" for b in bounds], "max_values")
    equal(column_index[5], [sum(v is None for v in page) for page in pages], "null_counts")
    known = [b for b in bounds if b]
    if kind == "int64":
        known = [(struct.unpack("<q", a), struct.unpack("<q", b)) for a, b in known]
    rising = all(a[0] <= b[0] and a[1] <= b[1] for a, b in zip(known, known[1:]))
    check(column_index[4] in ((0, 1) if rising else (0,)), "boundary_order claims what is not so")


def check_layout(case):
    """Every byte of the file belongs to one thing, and what is said about it is so."""
    data = pathlib.Path(case.path).read_bytes()
    equal((data[:4], data[-4:]), (b"PAR1", b"PAR1"), "magic")
    size = struct.unpack("<I", data[-8:-4])[0]
    footer = read_footer(data)
    equal(footer[3], len(case.rows), "num_rows")
    equal({k[1].decode(): k[2].decode() for k in footer.get(5, [])}, case.kv, "key-values")
    check(footer[6].startswith(b"sluice version ") and footer[6].endswith(b" (build 0)"), footer[6])
    equal(footer[7], [{1: {}}] * len(case.columns), "column_orders")
    at, first = 4, 0
    column_indexes, offset_indexes = [], []
    for ordinal, group in enumerate(footer[4]):
        equal((group[5], group[7]), (at, ordinal), "row group offset and ordinal")
        rows = case.rows[first:first + group[3]]
        first += group[3]
        for index, chunk in enumerate(group[1]):
            equal(chunk[3][9], at, "chunks without a gap")
            at += chunk[3][7]
            check_chunk(data, case, index, chunk, [row[index] for row in rows])
            column_indexes += [(chunk[6], chunk[7])] if 6 in chunk else []
            offset_indexes.append((chunk[4], chunk[5]))
        equal(group[2], sum(c[3][6] for c in group[1]), "total_byte_size")
        equal(group[6], sum(c[3][7] for c in group[1]), "total_compressed_size")
        equal(group.get(4), [{1: case.ascending, 2: False, 3: False}] if case.ascending >= 0 else None, "sorting")
    for start, length in column_indexes + offset_indexes:
        equal(start, at, "indexes follow the last row group, columns first, then offsets")
        at += length
    equal(at, len(data) - 8 - size, "the footer follows the indexes")


def check_groups(case):
    meta = pq.ParquetFile(case.path).metadata
    for g in range(meta.num_row_groups):
        group = meta.row_group(g)
        check(group.num_rows <= case.group_rows, "rows of a group")
        is_last = g == meta.num_row_groups - 1
        check(is_last or group.num_rows == case.group_rows or group.total_byte_size >= case.group_bytes - MIB // 8,
              f"group {g} of {group.num_rows} rows and {group.total_byte_size} bytes closed early")
        largest = max(sum(len(v) for v in row if isinstance(v, bytes)) for row in case.rows)
        check(group.total_byte_size <= case.group_bytes + PAGE_BYTES + largest + MIB // 8, "bytes of a group")


def check_pyarrow_metadata(case):
    """The same facts once more as pyarrow understands them."""
    meta = pq.ParquetFile(case.path).metadata
    equal((meta.num_rows, meta.num_columns), (len(case.rows), len(case.columns)))
    equal({k.decode(): v.decode() for k, v in (meta.metadata or {}).items()}, case.kv)
    check(meta.created_by.startswith("sluice version "), meta.created_by)
    first = 0
    for g in range(meta.num_row_groups):
        group = meta.row_group(g)
        if case.ascending >= 0:
            equal([(s.column_index, s.descending) for s in group.sorting_columns], [(case.ascending, False)])
        for c, spec in enumerate(case.columns):
            chunk, values = group.column(c), [r[c] for r in case.rows[first:first + group.num_rows]]
            equal(sorted(chunk.encodings), ["PLAIN", "RLE"])
            equal((chunk.compression, chunk.has_offset_index, chunk.has_column_index), ("ZSTD", True, spec["bounds"]))
            stats, known = chunk.statistics, [v for v in values if v is not None]
            equal(stats.null_count, len(values) - len(known), "null_count")
            equal(stats.has_min_max, spec["bounds"] and bool(known), "has_min_max")
            if stats.has_min_max:
                equal((plain(stats.min), plain(stats.max)), (min(known), max(known)), "min, max")
        first += group.num_rows


def check_all(case):
    check_layout(case)
    check_rows(case)
    check_pyarrow_metadata(case)
    if case.rows:
        check_groups(case)


# ---- tests -------------------------------------------------------------------------------------
def test_file_without_rows(bin_dir):
    case = Case(bin_dir, WEAVIATE, [], ascending=0)
    check_all(case)
    equal([f.name for f in pq.read_schema(case.path)], [c["name"] for c in WEAVIATE])


def test_one_row(bin_dir):
    check_all(Case(bin_dir, WEAVIATE, list(weaviate_rows(1)), ascending=0))


def test_schema_is_that_of_the_layout(bin_dir):
    case = Case(bin_dir, WEAVIATE, list(weaviate_rows(3)), ascending=0)
    schema = pq.ParquetFile(case.path).schema
    want = [("BYTE_ARRAY", 0, "String", "UTF8")] + [("INT64", 0, "Int(bitWidth=64, isSigned=true)", "INT_64")] * 2
    want += [("BYTE_ARRAY", 1, "None", "NONE")] * 4
    equal([(c.physical_type, c.max_definition_level, str(c.logical_type), c.converted_type)
           for c in (schema.column(i) for i in range(7))], want)
    types = [pyarrow.string(), pyarrow.int64(), pyarrow.int64()] + [pyarrow.binary()] * 4
    equal(pq.read_schema(case.path).types, types)


def test_many_rows_in_many_pages(bin_dir):
    check_all(Case(bin_dir, WEAVIATE, list(weaviate_rows(50003)), ascending=0))


def test_many_row_groups_by_rows(bin_dir):
    case = Case(bin_dir, WEAVIATE, list(weaviate_rows(12345)), group_rows=100, ascending=0)
    check_all(case)
    equal(case.groups(), [100] * 123 + [45])


def test_row_groups_by_bytes(bin_dir):
    case = Case(bin_dir, WEAVIATE, list(weaviate_rows(3000, dims=1536)), group_bytes=4 * MIB, ascending=0)
    check_all(case)
    check(len(case.groups()) >= 4, case.groups())


def test_one_row_in_each_group(bin_dir):
    check_all(Case(bin_dir, WEAVIATE, list(weaviate_rows(300)), group_rows=1, ascending=0))


def test_pages_and_groups_of_nulls(bin_dir):
    columns = [column("n", "int64", annotation="int64", bounds=True), column("b", bounds=True), column("c")]
    rows = [[None, None, None]] * 40000 + [[7, b"x", b"y"]] + [[None, b"", None]] * 100
    check_all(Case(bin_dir, columns, rows))
    check_all(Case(bin_dir, columns, rows, group_rows=20000))
    check_all(Case(bin_dir, columns, [[None, None, None]]))


def test_levels_of_every_pattern(bin_dir):
    rng = random.Random(5)
    columns = [column(str(i), "int64", bounds=True) for i in range(6)]
    rows = [[n if rng.random() < share else None for share in (0, 0.001, 0.1, 0.5, 0.97, 1)] for n in range(21000)]
    rows += [[n if n // step % 2 else None for step in (1, 2, 7, 8, 9, 1000)] for n in range(21000)]
    check_all(Case(bin_dir, columns, rows))


def test_odd_texts_and_bytes(bin_dir):
    columns = [column("t", annotation="string", bounds=True), column("b", bounds=True), column("j", annotation="json")]
    texts = ["", "\0", "a\0b", "é", "\U0001F600" * 20, "\U0010FFFF", "x" * 63 + "\U0001F600", "'\"\\", " "]
    rows = [[t.encode(), t.encode("utf-16-le"), json.dumps(t).encode()] for t in texts]
    rows += [[None, b"\xFF" * n, b"{}"] for n in (0, 1, 64, 5000)]
    rows += [[b"", b"\0" * 9, b"null"], [None, None, None]]
    check_all(Case(bin_dir, columns, rows))


def test_int64_borders(bin_dir):
    columns = [column("n", "int64", annotation="int64", bounds=True), column("m", "int64", optional=False, bounds=True)]
    numbers = [0, -1, 1, 2**63 - 1, -2**63, 9223372036854000000, -62135596800000, 2**53 + 1]
    check_all(Case(bin_dir, columns, [[n, -n - 1] for n in numbers] + [[None, 0]], kv={}))


def test_vectors_come_back_bit_by_bit(bin_dir):
    special = [0x7FC00001, 0xFFC12345, 0x7F800001, 0x7F800000, 0xFF800000, 0x80000000, 1, 0x807FFFFF]
    rng = random.Random(9)
    rows = []
    for n, dims in enumerate([1, 2, 7, 8, 1536, 65535] * 3):
        bits = [rng.choice(special) if rng.random() < 0.2 else rng.getrandbits(32) for _ in range(dims)]
        rows.append([uuid_text(n), n, n, struct.pack(f"<{dims}I", *bits), None, None, b"{}"])
    rows.sort()
    check_all(Case(bin_dir, WEAVIATE, rows, ascending=0))
    check_all(Case(bin_dir, WEAVIATE, rows, ascending=0, huffman_off=True))


def test_property_of_20_megabytes(bin_dir):
    rng = random.Random(3)
    rows = list(weaviate_rows(50))
    rows[20][6] = json.dumps({"t": "a longer text " * 1500000}).encode()
    rows[21][6] = b'"' + rng.randbytes(10 * MIB).hex().encode() + b'"'
    rows[40][6] = rng.randbytes(MIB)
    check(min(len(rows[n][6]) for n in (20, 21)) >= 20 * 10**6)
    check_all(Case(bin_dir, WEAVIATE, rows, ascending=0))


def test_property_of_300_megabytes(bin_dir):
    if "--all" not in sys.argv:
        return
    rows = list(weaviate_rows(5))
    rows[2][6] = bytes(300 * MIB)
    check_all(Case(bin_dir, WEAVIATE, rows, ascending=0))


def test_search_by_statistics_finds_every_row(bin_dir):
    case = Case(bin_dir, WEAVIATE, list(weaviate_rows(45000)), group_rows=21000, ascending=0)
    with duckdb.connect() as db:
        for n in (0, 1, 19999, 20000, 20001, 20999, 21000, 41999, 42000, 44999):
            one = case.rows[n][0].decode()
            for name, got in {
                "pyarrow": [r["creation_time"] for r in pq.read_table(case.path, filters=[("id", "=", one)]).to_pylist()],
                "duckdb": [r[0] for r in db.execute("select creation_time from read_parquet(?) where id = ?",
                                                    [case.path, one]).fetchall()],
                "polars": polars.scan_parquet(case.path).filter(polars.col("id") == one).collect()["creation_time"]
                                .to_list(),
            }.items():
                equal(got, [case.rows[n][1]], f"{name}: row {n}")
        low, high = case.rows[19990][1], case.rows[21010][1]
        count = db.execute("select count(*) from read_parquet(?) where creation_time between ? and ?",
                           [case.path, low, high]).fetchone()[0]
        equal(count, 21010 - 19990 + 1)
        equal(polars.scan_parquet(case.path).filter(polars.col("creation_time").is_between(low, high)).collect().height,
              count)


def test_equal_rows_make_equal_files(bin_dir):
    rows = list(weaviate_rows(5000))
    one, two = (pathlib.Path(c.path).read_bytes()
                for c in [Case(bin_dir, WEAVIATE, rows, group_bytes=MIB), Case(bin_dir, WEAVIATE, rows, group_bytes=MIB)])
    check(one == two, "two files differ")


def test_changed_byte_is_found_by_its_checksum(bin_dir):
    case = Case(bin_dir, WEAVIATE, list(weaviate_rows(3000)), group_rows=1000, ascending=0)
    data = pathlib.Path(case.path).read_bytes()
    footer = read_footer(data)
    rng = random.Random(4)
    for number, chunk in enumerate(c for g in footer[4] for c in g[1]):
        for page, (start, size, _, payload, _) in enumerate(walk_pages(data, chunk[3])):
            bad = bytearray(data)
            bad[rng.randrange(payload, start + size)] ^= 1 << rng.randrange(8)
            path = os.path.join(case.folder.name, f"bad-{number}-{page}.parquet")
            pathlib.Path(path).write_bytes(bad)
            try:
                read_pyarrow(path)
            except OSError as error:
                check("CRC" in str(error) or "checksum" in str(error), str(error))
            else:
                raise AssertionError(f"a changed byte in chunk {number}, page {page} was not seen")


def test_cut_file_is_refused_at_every_length(bin_dir):
    case = Case(bin_dir, WEAVIATE, list(weaviate_rows(20)), ascending=0)
    data = pathlib.Path(case.path).read_bytes()
    lengths = set(range(0, len(data), 97)) | set(range(len(data) - 20, len(data))) | {0, 1, 4, 8, 12}
    for length in sorted(lengths):
        path = os.path.join(case.folder.name, f"cut-{length}.parquet")
        pathlib.Path(path).write_bytes(data[:length])
        for name, read in READERS.items():
            try:
                read(path)
            except Exception:  # pylint: disable=broad-except
                continue
            raise AssertionError(f"{name} read {length} of {len(data)} bytes")


def test_memory_is_bounded_whatever_the_size(bin_dir):
    peaks = []
    for mib in (128, 512):
        with tempfile.TemporaryDirectory(prefix="sluice-pq-") as folder:
            path = os.path.join(folder, "noise.parquet")
            text = subprocess.run([pq_cases(bin_dir), "--noise", str(mib), path], check=True, capture_output=True,
                                  text=True).stdout
            bound, peak = map(int, text.split())
            check(os.path.getsize(path) > mib * MIB, "noise does not shrink")
            check(peak <= bound + 8 * MIB, f"{peak} bytes held, {bound} promised for the writer")  # libraries, stack
            peaks.append(peak)
    check(abs(peaks[1] - peaks[0]) < 2 * MIB, f"memory grows with the file: {peaks}")


run(dict(globals()))
