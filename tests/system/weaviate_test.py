"""Real Weaviate data: every export equals what the server that wrote the data answered, row by row.

A test for each directory and each backup of the fixtures (tests/data/weaviate; with --all the whole
tree they were chosen from), then what else a user may ask of an export, and a directory that moves.
"""

import json
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
import fixtures  # noqa: E402
from fixtures import Scratch, State, fingerprint  # noqa: E402
from node import check, equal, run  # noqa: E402
from rows import BYTE_COLUMNS, Export, compare, content, from_expect  # noqa: E402


def sluice(bin_dir, *args):
    done = subprocess.run([f"{bin_dir}/sluice", *map(str, args)], capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


def export(bin_dir, source, dest, *args):
    """Runs an export that must succeed and must not touch its source."""
    before = fingerprint(source)
    code, out, err = sluice(bin_dir, "export", source, dest, "--id", "x", "--json", *args)
    equal(code, 0, f"exit code of export {args}: {err}")
    equal(fingerprint(source), before, "the source was touched")
    line = json.loads(out.splitlines()[-1])
    equal(line["status"], "SUCCESS", line)
    done = Export(pathlib.Path(dest) / "x")
    equal(done.faults, [])
    equal(line["rows"], sum(len(r) for r in done.raw.values()), "rows told")
    return done


def hold(faults):
    check(not faults, f"{len(faults)} differences:\n     " + "\n     ".join(faults[:12]))


# ---- equal to the truth ----

def status_faults(done, want, cold_is_missing):
    """Every class and tenant is told, with the right state."""
    faults, shards = [], done.shards()
    told = set(done.metadata["shardStatus"])
    lost = {c for c in want.classes - told if c not in want.tenants or want.tenants[c]}  # a class may have no tenant yet
    faults += [f"class {c} is not told" for c in lost] + [f"class {c} does not exist" for c in told - want.classes]
    for class_name, tenants in want.tenants.items():
        extra = {s for c, s in shards if c == class_name} - tenants.keys()
        faults += [f"{class_name} has no tenant {t}" for t in extra]
        for tenant, status in tenants.items():
            record = shards.get((class_name, tenant))
            if record is None:
                faults.append(f"{class_name}: tenant {tenant} is not told")
                continue
            has_rows = bool(want.rows.get((class_name, tenant)))
            reason = record.get("skipReason", "")
            asleep = status in ("COLD", "INACTIVE")
            if status not in ("HOT", "ACTIVE") and not asleep:
                is_right = record["status"] == "SKIPPED" and status in reason
            elif asleep and cold_is_missing and has_rows:
                is_right = record["status"] == "SKIPPED" and "backup" in reason
            else:
                is_right = record["status"] == ("SUCCESS" if has_rows else "SKIPPED") and (has_rows or reason)
            is_right = is_right and record["objectsExported"] == len(want.rows.get((class_name, tenant), ())) \
                if record["status"] == "SUCCESS" else is_right
            if not is_right:
                faults.append(f"{class_name}: tenant {tenant} is {status}, has_rows={has_rows}, told {record}")
    return faults


def truth_faults(done, want, cold_is_missing=False):
    faults = status_faults(done, want, cold_is_missing)
    rows = done.rows()
    for key in sorted(rows.keys() | want.rows.keys(), key=str):
        if cold_is_missing and want.tenants.get(key[0], {}).get(key[1]) == "COLD":
            equal(rows.get(key, {}), {}, "rows of a tenant that the backup lacks")
            continue
        faults += compare(rows.get(key, {}), want.rows.get(key, {}), f"{key[0]}/{key[1] or ''}")
    return faults


# ---- equal to what was acknowledged ----

def legal_contents(base, oplog, begin, end):
    """{(class, tenant, id): contents an id may have}: the last answered request, or one under way."""
    legal = {}
    for op in sorted(oplog, key=lambda o: (o["t0"], o["seq"])):
        key = (op["class"], op["tenant"], op["id"])
        if key not in legal:
            legal[key] = {content(base.get(key[:2], {}).get(key[2]))}
        if op["ok"] is False or op["t0"] > end:
            continue
        if op["t1"] is not None and op["t1"] <= begin:
            legal[key] = set()
        legal[key].add(from_expect(op["expect"]))
    return legal


def oplog_faults(done, state):
    oplog = state.oplog()
    if oplog is None:
        return []
    base, rows = state.expected(state.about["base"]).rows, done.rows()
    legal = legal_contents(base, oplog, *state.span())
    faults = []
    for (class_name, tenant, object_id), allowed in legal.items():
        row = rows.get((class_name, tenant), {}).get(object_id)
        if content(row) not in allowed:
            faults.append(f"{class_name}/{tenant or ''} {object_id}: not as the last answered request left it")
    for key in base.keys() | rows.keys():
        def silent(found):
            return {i: r for i, r in found.get(key, {}).items() if (*key, i) not in legal}
        faults += compare(silent(rows), silent(base), f"never written since: {key}")
    return faults


# ---- equal to the server's own export ----

def server_faults(done, folder):
    """Byte for byte, times aside. Two shards whose names collide share one broken file: not compared."""
    server = json.loads((folder / "export_metadata.json").read_text())
    owners = {}
    for class_name, shards in server.get("shardStatus", {}).items():
        for shard, record in shards.items():
            if record["status"] == "SUCCESS":
                owners.setdefault(f"{class_name}_{shard}_0000.parquet", []).append(shard)
    theirs = read_server(folder, [name for name, shards in owners.items() if len(shards) == 1])
    faults = []
    for key, rows in theirs.items():
        ours = done.raw.get(key, {})
        faults += [f"server's export {key}: ids differ"] if ours.keys() != rows.keys() else []
        for object_id in ours.keys() & rows.keys():
            faults += [f"server's export {key} {object_id}: {c} is not the same bytes" for c in BYTE_COLUMNS
                       if ours[object_id][c] != rows[object_id][c]]
    return faults


def read_server(folder, names):
    """{(class, tenant): {id: row}}. Through DuckDB: Arrow refuses page headers of megabytes."""
    import duckdb
    found = {}
    for name in names:
        path = str(folder / name)
        about = {bytes(k).decode(): bytes(v).decode() for k, v in
                 duckdb.execute("select key, value from parquet_kv_metadata(?)", [path]).fetchall()}
        rows = found.setdefault((about["collection"], about.get("tenant")), {})
        columns = ("id", *BYTE_COLUMNS)
        for row in duckdb.execute(f"select {', '.join(columns)} from read_parquet(?)", [path]).fetchall():
            rows[row[0]] = dict(zip(columns, row))
    return found


# ---- one test for each directory and backup ----

def check_state(bin_dir, state):
    scratch = Scratch()
    done = export(bin_dir, state.path(), scratch.path / "out")
    faults = truth_faults(done, state.expected()) + oplog_faults(done, state)
    for path in state.server_exports():
        faults += server_faults(done, fixtures.unpack(path, scratch.sub("server")) if path.is_file() else path)
    hold(faults)
    scratch.close()


def is_before_cold_backups(version):
    """Servers before 1.35.17 leave COLD tenants out of a backup."""
    return tuple(map(int, version.lstrip("v").split("."))) < (1, 35, 17)


def check_backup(bin_dir, folder, name):
    scratch = Scratch()
    info = json.loads((folder / "info.json").read_text())
    about = info["backups"][name]
    for one in {name, about.get("base", name)}:  # an incremental backup reads the one it is based on
        fixtures.unpack(folder / f"backup-{one}.tar.zst", scratch.sub(one))
    done = export(bin_dir, scratch.path / name, scratch.path / "out", "--spool", scratch.sub("spool"))
    equal(list((scratch.path / "spool").iterdir()), [], "what was spooled is removed")
    state = State(folder, about["truth"].removeprefix("truth-"))
    want = state.expected(about["truth"])
    if "include" in about["request"]:
        want = want.only(about["request"]["include"])
    hold(truth_faults(done, want, is_before_cold_backups(info["version"])))
    scratch.close()


def check_real(bin_dir, folder, name):
    scratch = Scratch()
    source = fixtures.unpack(folder / f"{name}.tar.zst", scratch.path) / name
    done = export(bin_dir, source, scratch.path / "out")
    is_backup = name.startswith("backup")
    faults = truth_faults(done, fixtures.real_expected(folder, name),
                          is_backup and is_before_cold_backups(folder.name))
    theirs = folder / f"export-{'running' if is_backup else name}.tar.zst"
    if theirs.exists():
        faults += server_faults(done, fixtures.unpack(theirs, scratch.path) / theirs.name.split(".")[0])
    hold(faults)
    scratch.close()


def all_fixtures(tree):
    """{test name: test}"""
    tests = {}
    for folder in fixtures.sets(tree):
        where = f"{folder.parent.name}/{folder.name}"
        for name in fixtures.states(folder):
            tests[f"test_{where}/{name}"] = lambda b, f=folder, n=name: check_state(b, State(f, n))
        for name in fixtures.backups(folder):
            tests[f"test_{where}/backup-{name}"] = lambda b, f=folder, n=name: check_backup(b, f, n)
    for path in sorted(tree.glob("real/*/*.tar.zst")):
        name = path.name.split(".")[0]
        if not name.startswith("export-"):
            tests[f"test_real/{path.parent.name}/{name}"] = lambda b, f=path.parent, n=name: check_real(b, f, n)
    return tests


# ---- what a user may ask ----

class Opened:
    """A copy of a directory, and what it holds; at first one of several classes and tenants."""

    def __init__(self, which="v1.39.0/tenants/live"):
        version, name, state = which.split("/")
        self.scratch = Scratch()
        self.state = State(fixtures.root() / "states" / version / name, state)
        self.path = shutil.copytree(self.state.path(), self.scratch.path / "data")
        self.out = self.scratch.path / "out"
        self.want = self.state.expected()

    def export(self, bin_dir, *args):
        shutil.rmtree(self.out, ignore_errors=True)
        return export(bin_dir, self.path, self.out, *args)

    def held(self, wanted):
        """Keys that have rows and that `wanted` accepts."""
        return {key: rows for key, rows in self.want.rows.items() if rows and wanted(*key)}

    def close(self):
        self.scratch.close()


def test_times_in_milliseconds(bin_dir):
    opened = Opened("v1.39.0/churn/live")
    done = opened.export(bin_dir, "--timestamp-unit", "ms")
    equal(done.units, {"ms"})
    hold(truth_faults(done, opened.want))
    equal(opened.export(bin_dir).units, {"ns"})
    opened.close()


def test_workers_and_memory_change_no_row(bin_dir):
    opened = Opened("v1.39.0/basic/kill")
    one = opened.export(bin_dir, "--parallelism", "1").raw
    four = opened.export(bin_dir, "--parallelism", "4", "--memory-max", "128MiB").raw
    equal(one.keys(), four.keys())
    for key, rows in one.items():
        check(rows == four[key], f"{key} differs between one and four workers")
    opened.close()


def test_collections_and_tenants_are_chosen(bin_dir):
    opened = Opened()
    for args, wanted in ((["--include", "Coll"], lambda c, t: c == "Coll"),
                         (["--include", "Single", "--include", "MtNamed"], lambda c, t: c in ("Single", "MtNamed")),
                         (["--exclude", "Coll"], lambda c, t: c != "Coll"),
                         (["--include", "Coll_A", "--tenant", "B"], lambda c, t: (c, t) == ("Coll_A", "B")),
                         (["--include", "Coll", "--tenant", "cold1", "--tenant", "a_b"],
                          lambda c, t: c == "Coll" and t in ("cold1", "a_b"))):
        rows, want = opened.export(bin_dir, *args).rows(), opened.held(wanted)
        check(want, args)
        equal(rows.keys(), want.keys(), args)
        hold([f for key in want for f in compare(rows[key], want[key], f"{args} {key}")])
    opened.close()


def test_unknown_names_are_told(bin_dir):
    opened = Opened()
    for more in ([], ["--dry-run"]):
        code, _, err = sluice(bin_dir, "export", opened.path, opened.out, "--include", "Single", "--include", "Sinlge", *more)
        equal(code, 0, err)
        check('"Sinlge"' in err and '"Single"' not in err, err)
    for args, name in ((["--tenant", "nobody"], "nobody"), (["--include", "Sinlge"], "no exportable")):
        code, _, err = sluice(bin_dir, "export", opened.path, opened.out, *args)
        equal(code, 1, err)
        check(name in err, err)
    opened.close()


def test_dry_run_tells_and_writes_nothing(bin_dir):
    opened = Opened()
    before = fingerprint(opened.path)
    code, out, err = sluice(bin_dir, "export", opened.path, opened.out, "--dry-run", "--json")
    equal(code, 0, err)
    check(not opened.out.exists(), "a dry run made its destination")
    equal(fingerprint(opened.path), before, "the source was touched")
    told = {(s["class"], s["shard"]): s for s in json.loads(out)["shards"]}
    shards = opened.export(bin_dir).shards()
    equal(told.keys(), shards.keys(), "shards told before and exported")
    for (class_name, tenant), status in ((k, s) for k, s in told.items() if k[0] in opened.want.tenants):
        rows = opened.want.rows.get((class_name, tenant), {})
        if status["status"] == "SKIPPED":
            equal(rows, {}, f"{class_name}/{tenant} is told as left out")
            equal(status["skipReason"], shards[class_name, tenant].get("skipReason"), f"{class_name}/{tenant}")
        check(status["objects"] > 0 or not rows, f"{class_name}/{tenant}: {len(rows)} objects, told {status}")
    opened.close()


def test_source_is_what_it_is_told_to_be(bin_dir):
    opened = Opened("v1.39.0/cleanup/clean")
    hold(truth_faults(opened.export(bin_dir, "--source", "weaviate"), opened.want))
    for kind in ("sluice", "backup", "nonsense"):
        code, _, err = sluice(bin_dir, "export", opened.path, opened.scratch.path / kind, "--source", kind)
        equal(code, 2 if kind == "nonsense" else 1, f"--source {kind}: {err}")
        check(kind in err or str(opened.path) in err, err)
    opened.close()


def test_what_is_not_weaviates_is_refused(bin_dir):
    scratch = Scratch()
    other = scratch.sub("other")
    (other / "letters/2026").mkdir(parents=True)
    (other / "letters/2026/a.txt").write_text("no segment")
    (other / "schema.txt").write_text("no schema")
    for path in (scratch.path / "absent", scratch.sub("empty"), other, other / "schema.txt"):
        dest = scratch.path / "dest"
        code, out, err = sluice(bin_dir, "export", path, dest, "--json")
        equal(code, 1, f"{path}: {out}{err}")
        check(str(path) in err and err.startswith("sluice: ") and len(err.splitlines()) == 1, err)
        check(not dest.exists(), f"{path}: a destination was made")
    scratch.close()


def test_names_come_from_objects_where_the_schema_is_gone(bin_dir):
    opened = Opened("v1.39.0/basic/live")
    shutil.rmtree(opened.path / "raft")
    (opened.path / "schema.db").unlink()
    rows = opened.export(bin_dir).rows()
    want = {c: r for (c, _), r in opened.held(lambda c, t: True).items()}
    equal({c for c, _ in rows}, want.keys())
    hold([f for (c, _), r in rows.items() for f in compare(r, want[c], c)])
    opened.close()


# ---- a directory that moves ----

EXPORTS_WHILE_MOVING = 60 if "--all" in sys.argv else 12
FLUSHED = "segment-1795430098878100585"  # in churn: a log, complete, and later what became of it


class Moving:
    """The bucket of class Churn with a process in it that does what a server does."""

    def __init__(self):
        self.opened = Opened("v1.39.0/churn/mid-tmpflush")
        scratch = self.opened.scratch
        bucket = next((self.opened.path / "churn").glob("*/lsm/objects"))
        later = fixtures.unpacked_set(self.opened.state.folder)
        segment = next(later.glob(f"mid-deleteme/churn/*/lsm/objects/{FLUSHED}.l0.s0.db.*"))
        log = shutil.copy(bucket / f"{FLUSHED}.wal", scratch.path / "log")
        (bucket / f"{FLUSHED}.wal").unlink()
        (bucket / f"{FLUSHED}.l0.s0.db.tmp").unlink()
        self.mover = [sys.executable, pathlib.Path(__file__).parent.parent / "lib/moving.py", self.opened.path, bucket,
                      log, segment]

    def start(self):
        self.process = subprocess.Popen(self.mover, stdout=subprocess.PIPE, text=True)
        equal(self.process.stdout.readline(), "moving\n")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.opened.close()


def done_again(held, group):
    """{id: content} after a group of requests."""
    return {i: e for i, e in {**held, **group}.items() if e is not None}


def requests_between(state, first, last):
    """Requests, batches as one, that lead class Churn from one content to another."""
    groups = {}
    for op in state.oplog():
        if op["class"] == "Churn" and op["ok"]:
            groups.setdefault(op["seq"], {})[op["id"]] = from_expect(op["expect"])
    groups = [groups[seq] for seq in sorted(groups)]
    held, steps = {i: content(r) for i, r in state.read_dir(state.about["base"])["Churn", None].items()}, []
    for group in [*groups, {}]:
        steps.append(held)
        held = done_again(held, group)
    return groups[steps.index(first):steps.index(last)]


def is_legal(got, whole, groups):
    """Whether `got` is `whole` with the first requests done again over it; of a batch any part."""
    held = whole
    for group in [*groups, {}]:
        differing = {i for i in got.keys() | held.keys() if got.get(i) != held.get(i)}
        if all(i in group and got.get(i) == group[i] for i in differing):
            return True
        held = done_again(held, group)
    return False


def test_a_directory_that_moves(bin_dir):
    moving = Moving()
    opened = moving.opened
    def churn(done):
        return {i: content(r) for i, r in done.rows()["Churn", None].items()}
    before = churn(opened.export(bin_dir))
    whole = {i: content(r) for i, r in opened.want.rows["Churn", None].items()}
    groups = requests_between(opened.state, before, whole)
    exports, legal, seen = 0, 0, set()
    try:
        moving.start()
        while exports < EXPORTS_WHILE_MOVING or (len(seen) == 1 and exports < 20 * EXPORTS_WHILE_MOVING):
            exports += 1
            shutil.rmtree(opened.out, ignore_errors=True)
            code, _, err = sluice(bin_dir, "export", opened.path, opened.out, "--id", "x", "--json")
            equal(code, 0, err)
            done = Export(opened.out / "x")
            equal(done.faults, [])
            legal += is_legal(churn(done), whole, groups)
            seen.add(frozenset(churn(done).items()))
        equal(moving.process.poll(), None, "the process that moves files")
    finally:
        moving.stop()
    equal(legal, exports, "exports that show a state the directory had")
    check(len(groups) > 3 and len(seen) > 1, f"{len(seen)} states seen: the directory did not move")


if __name__ == "__main__":
    run({**all_fixtures(fixtures.root()), **globals()})
