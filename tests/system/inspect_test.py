"""sluice inspect on real Weaviate data: what it tells equals the servers' answers and the bytes.

Counts, classes and states come from the truth beside the fixtures; headers of segments, side files
and sizes are read here again, by a few lines of Python written from the format.
"""

import fcntl
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
import fixtures  # noqa: E402
from fixtures import Scratch, State  # noqa: E402
from node import check, equal, run  # noqa: E402


def inspect(bin_dir, path, *args, want=0, **env):
    done = subprocess.run([f"{bin_dir}/sluice", "inspect", str(path), *args], capture_output=True, text=True,
                          timeout=300, env={**os.environ, **env})
    equal(done.returncode, want, f"exit code of inspect {path} {args}: {done.stderr}{done.stdout[-2000:]}")
    return done.stdout


def inspect_json(bin_dir, path, *args, want=0):
    return json.loads(inspect(bin_dir, path, "--json", *args, want=want))


def every_shard(doc):
    return [(c, s) for c in doc["classes"] for s in c["shards"]]


def bucket(data, class_name, shard):
    return data / class_name.lower() / shard / "lsm/objects"


def state(version, set_name, name, scratch):
    folder = fixtures.root() / "states" / version / set_name
    data = fixtures.unpack(folder / "data.tar.zst", scratch.sub(f"{version}-{set_name}"), name) / name
    return State(folder, name), data


# ---- against the truth ----

def same_as_truth(doc, want):
    """Classes, tenants, states and exact counts."""
    equal({c["name"] for c in doc["classes"]}, want.classes)
    for c in doc["classes"]:
        name = c["name"]
        equal(c["isMultiTenant"], name in want.tenants, name)
        if name in want.tenants:
            equal({s["name"]: s["status"] for s in c["shards"]}, want.tenants[name], name)
            for s in c["shards"]:
                equal(s.get("objects", 0), len(want.rows.get((name, s["name"]), {})), f"{name} {s['name']}")
        equal(c["objects"], sum(len(r) for (k, _), r in want.rows.items() if k == name), name)
        check(c["isCountExact"], name)


def same_vectors(doc, want):
    """Every vector that the servers answered, with its dimensions and how many objects have it."""
    for c in doc["classes"]:
        found = {}
        for (name, _), rows in want.rows.items():
            for row in rows.values() if name == c["name"] else ():
                all_of_it = [(("", False), row["vector"])] if row["vector"] else []
                all_of_it += [((k, False), v) for k, v in row["named"].items()]
                all_of_it += [((k, True), v[0]) for k, v in row["multi"].items()]
                for key, floats in all_of_it:
                    found.setdefault(key, []).append(len(floats) // 4)
        told = {(v["name"], v["isMulti"]): (set(v["dimensions"]) - {0}, v["objects"]) for v in c["vectors"]}
        for key, dims in found.items():
            check(key in told, f"{c['name']}: vector {key} is not told")
            equal(told[key][0], set(dims), f"{c['name']} {key}")
            check(told[key][1] >= len(dims), f"{c['name']} {key}", told[key], len(dims))  # stored ones may be empty


def verify_state(bin_dir, folder, name):
    scratch = Scratch()
    one = State(folder, name)
    data = fixtures.unpack(folder / "data.tar.zst", scratch.path, name) / name
    doc = inspect_json(bin_dir, data, "--verify")
    equal((doc["kind"], doc["isVerified"], doc["damages"]), ("weaviate", True, []), str(one))
    same_as_truth(doc, one.expected())
    same_vectors(doc, one.expected())
    check_files(doc, data)
    scratch.close()


def check_files(doc, data):
    """What inspect says of segments, side files and sizes, read again."""
    for c, s in every_shard(doc):
        folder = bucket(data, c["name"], s["name"])
        net, is_complete = 0, True
        for f in s["files"]:
            path = folder / f["name"]
            equal(f["bytes"], path.stat().st_size, path)
            if f["role"] == "segment":
                same_header(f, path)
                added = side_count(path)
                is_complete = is_complete and added is not None
                net += added or 0
        if any(f["role"] == "segment" for f in s["files"]) and "objects" in s:
            equal(s.get("sideFileObjects"), net if is_complete else None, folder)
        if folder.parent.is_dir():
            sizes = {b.name: sum(p.stat().st_size for p in b.rglob("*") if p.is_file())
                     for b in folder.parent.iterdir() if b.is_dir()}
            equal({b["name"]: b["bytes"] for b in s["buckets"]}, sizes, folder)


def same_header(told, path):
    data = path.read_bytes()
    level, version, secondary, strategy, end = struct.unpack_from("<HHHHQ", data)
    first = struct.unpack_from("<Q", data, end)[0] if secondary else len(data) - 4 * version
    keys = (first - end - 8 * secondary) // 52
    equal((told["level"], told["version"], told["secondaryIndexes"], told["strategy"], told["keys"]),
          (level, version, secondary, {0: "replace"}[strategy], keys), path)
    equal(told["hasChecksum"], version == 1, path)


def side_count(path):
    """Net additions by the .cna or .metadata beside a segment, None without a good one."""
    for suffix, at in ((".cna", 4), (".metadata", None)):
        side = path.with_suffix(suffix)
        if path.suffix == ".db" and side.exists():
            data = side.read_bytes()
            if struct.unpack_from("<I", data)[0] != zlib.crc32(data[4:]):
                return None
            at = at or 5 + 4 + struct.unpack_from("<I", data, 5)[0] + 4
            return struct.unpack_from("<q", data, at)[0]
    return None


def add_truth_tests():
    for folder in fixtures.sets(fixtures.root()):
        for name in fixtures.states(folder):
            label = f"test_verify {folder.parent.name}/{folder.name}/{name}"
            globals()[label] = lambda bin_dir, folder=folder, name=name: verify_state(bin_dir, folder, name)


# ---- the other views ----

def test_without_verify_counts_are_estimates_and_small_shards_exact(bin_dir):
    scratch = Scratch()
    one, data = state("v1.39.0", "churn", "clean", scratch)
    doc = inspect_json(bin_dir, data)
    want = one.expected()
    for c in doc["classes"]:
        true = sum(len(r) for (k, _), r in want.rows.items() if k == c["name"])
        check(not c["isCountExact"], c["name"])  # 182 objects, 100 are looked at
        check(0.5 * true <= c["objects"] <= 2 * true, c["objects"], true)
        check(c["vectors"], c["name"])
    text = inspect(bin_dir, data)
    for word in ("Weaviate data directory", "not running", "Churn", "level", "~", "--verify"):
        check(word in text, f"no {word!r} in {text}")
    check("\033" not in text, "colour in a pipe")
    scratch.close()


def test_nothing_is_written(bin_dir):
    scratch = Scratch()
    _, data = state("v1.39.0", "churn", "mid-switch-noL", scratch)
    before = {p: (p.lstat().st_mtime_ns, p.lstat().st_size) for p in sorted(data.rglob("*"))}
    inspect(bin_dir, data)
    inspect(bin_dir, data, "--verify")
    equal({p: (p.lstat().st_mtime_ns, p.lstat().st_size) for p in sorted(data.rglob("*"))}, before)
    scratch.close()


def test_leftovers_are_told_with_their_reason(bin_dir):
    scratch = Scratch()
    _, data = state("v1.39.0", "churn", "mid-switch-noL", scratch)
    doc = inspect_json(bin_dir, data)
    files = [f for c, s in every_shard(doc) if c["name"] == "Churn" for f in s["files"]]
    joint = [f for f in files if f["name"].endswith(".db.tmp")]
    equal([(f["role"], "finished compaction" in f["why"]) for f in joint], [("segment", True)])
    right = joint[0]["name"].split("_")[1].split(".")[0]
    equal([(f["role"], "replaced" in f["why"]) for f in files if f["name"].startswith(f"segment-{right}.")
           and f["name"].endswith(".db")], [("leftover", True)])
    check(any("NUMBER.deleteme" in s["sign"] for s in doc["signs"]), doc["signs"])
    scratch.close()


def test_a_torn_log_is_told(bin_dir):
    scratch = Scratch()
    _, data = state("v1.39.0", "churn", "torn", scratch)
    doc = inspect_json(bin_dir, data, "--verify")
    torn = [f for _, s in every_shard(doc) for f in s["files"] if f.get("tornBytes", 0) > 0]
    equal(len(torn), 1)
    equal(torn[0]["goodBytes"] + torn[0]["tornBytes"], torn[0]["bytes"])
    check("torn" in inspect(bin_dir, data), "the text says nothing")
    scratch.close()


def test_a_lone_segment_and_log(bin_dir):
    scratch = Scratch()
    _, data = state("v1.39.0", "churn", "live", scratch)
    folder = next(p for p in (data / "churn").iterdir() if p.is_dir()) / "lsm/objects"
    segment, log = sorted(folder.glob("*.db"))[0], sorted(folder.glob("*.wal"))[-1]
    doc = inspect_json(bin_dir, segment, "--verify")
    equal((doc["kind"], doc["class"], doc["damageCount"]), ("segment", "Churn", 0))
    same_header(doc, segment)
    equal(doc["objects"], doc["keys"] - doc["tombstones"])
    doc = inspect_json(bin_dir, log)
    equal((doc["kind"], doc["class"], doc["tornBytes"]), ("log", "Churn", 0))
    check("write-ahead log" in inspect(bin_dir, log), "the text")
    scratch.close()


def test_a_server_that_runs_is_told(bin_dir):
    scratch = Scratch()
    _, data = state("v1.39.0", "churn", "clean", scratch)
    check(not inspect_json(bin_dir, data)["isRunning"], "nobody has it")
    with open(data / "raft/raft.db", "rb") as raft:  # the lock a server holds
        fcntl.flock(raft, fcntl.LOCK_EX)
        doc = inspect_json(bin_dir, data)
        check(doc["isRunning"] and "write buffer" in doc["notes"][0], doc["notes"])
        check("write buffer" in inspect(bin_dir, data), "the text")
    scratch.close()


# ---- damage ----

def segments(data, class_name):
    return sorted((data / class_name).glob("*/lsm/objects/*.db"))


def damaged(bin_dir, data):
    doc = inspect_json(bin_dir, data, "--verify", want=1)
    equal(doc["damageCount"], len(doc["damages"]))
    return doc


def test_every_damage_is_told_with_file_and_offset(bin_dir):
    """A zeroed node, a cut file and a header in three segments of two classes; the rest counts."""
    scratch = Scratch()
    one, data = state("v1.39.0", "churn", "clean", scratch)
    whole = inspect_json(bin_dir, data, "--verify")
    first, second = segments(data, "churn")[:2]
    third = segments(data, "churnn")[0]
    raw = bytearray(first.read_bytes())
    raw[16:16 + 64] = bytes(64)
    first.write_bytes(raw)
    os.truncate(second, second.stat().st_size // 2)
    raw = bytearray(third.read_bytes())
    raw[2] = 9
    third.write_bytes(raw)
    doc = damaged(bin_dir, data)
    for path, begin, end, class_name in ((first, 16, 80, "Churn"), (second, 0, 16, "Churn"), (third, 2, 2, "ChurnN")):
        told = [d for d in doc["damages"] if str(path) in d["what"]]
        check(told, f"{path} is not told: {doc['damages']}")
        offset = int(re.search(r"at offset (\d+)", told[0]["what"])[1])
        check(begin <= offset <= end and told[0]["class"] == class_name, told[0])
    for c, before in zip(doc["classes"], whole["classes"]):
        check(0 < c["objects"] < before["objects"] and not c["isCountExact"], c["name"], c["objects"])
    text = inspect(bin_dir, data, "--verify", want=1)
    check("DAMAGE" in text and str(first) in text and "--skip-damaged" in text, text[-1500:])
    scratch.close()


def test_one_bit_of_a_file_with_checksum_is_found(bin_dir):
    scratch = Scratch()
    one, data = state("v1.39.0", "options", "clean", scratch)
    path = segments(data, "opt")[0]
    raw = bytearray(path.read_bytes())
    for at in (0, 20, len(raw) // 2, len(raw) - 1):
        changed = bytearray(raw)
        changed[at] ^= 0x10
        path.write_bytes(changed)
        doc = damaged(bin_dir, data)
        check(any(str(path) in d["what"] for d in doc["damages"]), f"byte {at}: {doc['damages']}")
    scratch.close()


def test_what_is_nothing_says_so(bin_dir):
    scratch = Scratch()
    done = subprocess.run([f"{bin_dir}/sluice", "inspect", str(scratch.path)], capture_output=True, text=True, timeout=60)
    equal((done.returncode, done.stdout), (1, ""))
    for word in ("export_metadata.json", "raft.db", "backup_config.json"):
        check(word in done.stderr, done.stderr)
    (scratch.path / "segment-1.db").write_bytes(b"short")
    doc = inspect_json(bin_dir, scratch.path / "segment-1.db", want=1)
    equal(doc["damageCount"], 1)
    scratch.close()


# ---- backups ----

def verify_backup(bin_dir, folder, name):
    scratch = Scratch()
    path = scratch.sub(name)
    fixtures.unpack(folder / f"backup-{name}.tar.zst", path)
    config = json.loads((path / "backup_config.json").read_text())
    if config.get("baseBackupId"):
        fixtures.unpack(folder / f"backup-{config['baseBackupId']}.tar.zst", scratch.sub(config["baseBackupId"]))
    spool = scratch.sub("spool")
    doc = inspect_json(bin_dir, path, "--verify", "--spool", str(spool))
    equal((doc["kind"], doc["damages"], list(spool.iterdir())), ("backup", [], []))
    equal([doc["backup"][k] for k in ("id", "serverVersion", "status")], [name, config["serverVersion"], "SUCCESS"])
    inside = {n for node in config["nodes"].values() for n in node["classes"]}
    equal({c["name"] for c in doc["classes"]}, inside)
    about = json.loads((folder / "info.json").read_text())["backups"][name]
    want = State(folder, f"backup-{name}").expected(about["truth"]).only(inside)
    for c in doc["classes"]:
        missing = [s["name"] for s in c["shards"] if "backup" in s.get("skipReason", "")]
        check(all(want.tenants[c["name"]][t] == "COLD" for t in missing), c["name"], missing)
        equal(c["objects"], sum(len(r) for (k, t), r in want.rows.items() if k == c["name"] and t not in missing), c["name"])
    brief = inspect_json(bin_dir, path)
    equal({c["name"] for c in brief["classes"]}, inside)
    check(name in inspect(bin_dir, path), "the text")
    scratch.close()


for each in fixtures.sets(fixtures.root()):
    for known in fixtures.backups(each):
        globals()[f"test_backup {each.parent.name}/{each.name}/{known}"] = \
            lambda bin_dir, folder=each, name=known: verify_backup(bin_dir, folder, name)
add_truth_tests()
run(dict(globals()))
