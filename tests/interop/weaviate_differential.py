"""Random Weaviate data directories, read three ways: all must agree, row by row, bit by bit.

`weaviate-dir --random` plays a history into a directory and tells what is in it; `sluice export`
reads the directory, and pyarrow what it wrote; tests/lib/weaviate_reader.py reads the directory,
too. A seed that fails is a complete report: `weaviate_differential.py BIN --seed N --keep`.

  --seeds N   how many (40; --all: 2000)      --seed N   this one only      --keep   leave the folder
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pyarrow.parquet as pq

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
from node import Failed, check, equal  # noqa: E402
from weaviate_reader import numbers_text, read_directory, text_of  # noqa: E402

MEMORY = "/dev/shm"  # hundreds of small exports, each synced: waiting for a disk would be most of the time
FIELDS = ("creation_time", "update_time", "vector", "named_vectors", "multi_vectors", "properties")


def generator(bin_dir):
    for folder in (bin_dir.parent / "release", bin_dir.parent.parent):
        if (folder / "bench/weaviate-dir").exists():
            return folder / "bench/weaviate-dir"
    raise Failed(f"weaviate-dir is not built beside {bin_dir}")


def columns(created, updated, vector, named, multi, properties):
    """A row as the export has it: empty is null, and so is the text null."""
    return (created * 1_000_000, updated * 1_000_000, vector or None, named and named.encode(), multi and multi.encode(),
            properties if properties not in (b"", b"null") else None)


def told_rows(path):
    """{(class, tenant, id): row} of the generator's truth, and {(class folder, shard): (class, tenant)}."""
    rows, shards = {}, {}
    for line in path.read_text().splitlines():
        one = json.loads(line)
        named = {k: bytes.fromhex(v) for k, v in one["named"].items()}
        multi = {k: [bytes.fromhex(r) for r in v] for k, v in one["multi"].items()}
        rows[one["class"], one["tenant"], one["id"]] = columns(
            one["created"], one["updated"], bytes.fromhex(one["vector"]), text_of(named, numbers_text),
            text_of(multi, lambda rows: "[" + ",".join(map(numbers_text, rows)) + "]"),
            bytes.fromhex(one["properties"]))
        shards[one["class"].lower(), one["shard"]] = (one["class"], one["tenant"])
    return rows, shards


def read_rows(folder, shards):
    """The same by the slow reader; a shard nothing is told of must be empty or dropped."""
    rows = {}
    for where, objects in read_directory(folder).items():
        if where in shards:
            for one in objects.values():
                rows[(*shards[where], one.uuid)] = columns(one.created, one.updated, one.vector, one.named_json(),
                                                           one.multi_json(), one.properties)
        else:
            check(not objects or where[0] == "dropped", where, "holds objects nobody put there")
    return rows


def exported_rows(folder):
    rows = {}
    for path in sorted(folder.glob("*.parquet")):
        file = pq.ParquetFile(path, page_checksum_verification=True)
        keys = {k.decode(): v.decode() for k, v in file.schema_arrow.metadata.items()}
        table = file.read()
        ids = table.column("id").to_pylist()
        equal(ids, sorted(set(ids)), f"ids of {path.name} in order, each once")
        for row in zip(ids, *(table.column(f).to_pylist() for f in FIELDS)):
            key = (keys["collection"], keys.get("tenant"), row[0])
            check(key not in rows, key, "twice")
            rows[key] = row[1:]
    return rows


def compare(got, want, who):
    for key in sorted(want.keys() - got.keys(), key=str)[:1]:
        raise Failed(f"{who}: {key} is missing; {len(got)} of {len(want)} rows are there")
    for key in sorted(got.keys() - want.keys(), key=str)[:1]:
        raise Failed(f"{who}: {key} should not be there; {len(got)} instead of {len(want)} rows")
    for key, row in want.items():
        for name, a, b in zip(FIELDS, got[key], row):
            check(a == b, f"{who}: {key} {name}: got {a!r}, want {b!r}")


def listing(folder):
    return {p: (p.lstat().st_size, p.lstat().st_mtime_ns) for p in sorted(folder.rglob("*"))}


def one_seed(bin_dir, seed, work):
    data, truth = work / "data", work / "truth.jsonl"
    subprocess.run([generator(bin_dir), data, "--random", "--seed", str(seed), "--truth", truth], check=True,
                   stdout=subprocess.DEVNULL)
    before = listing(data)
    want, shards = told_rows(truth)
    compare(read_rows(data, shards), want, "slow reader")
    done = subprocess.run([bin_dir / "sluice", "export", data, work / "out", "--id", "x", "--json", "--source", "weaviate",
                           "--parallelism", str(1 + seed % 3)], capture_output=True, text=True)
    equal(done.returncode, 0, f"exit code of sluice export: {done.stdout} {done.stderr}")
    compare(exported_rows(work / "out/x"), want, "sluice export")
    equal(json.loads(done.stdout.splitlines()[-1])["rows"], len(want), "rows told")
    equal(listing(data), before, "the directory after the export")
    return len(want)


def option(name, default):
    return int(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else default


def main():
    bin_dir = pathlib.Path(sys.argv[1]).resolve()
    first = option("--seed", 1)
    count = 1 if "--seed" in sys.argv else option("--seeds", 2000 if "--all" in sys.argv else 40)
    failed = rows = 0
    for seed in range(first, first + count):
        work = pathlib.Path(tempfile.mkdtemp(prefix="sluice-diff-", dir=MEMORY if os.path.isdir(MEMORY) else None))
        try:
            rows += one_seed(bin_dir, seed, work)
        except Exception as error:  # pylint: disable=broad-except
            failed += 1
            print(f"FAIL seed {seed}: {type(error).__name__}: {error}", flush=True)
        if "--keep" in sys.argv:
            print(work)
        else:
            shutil.rmtree(work)
    print(f"{'FAIL' if failed else 'ok  '} {count} directories, {rows} rows, {failed} failed", flush=True)
    sys.exit(failed > 0)


main()
