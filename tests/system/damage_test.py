"""Damaged Weaviate directories as a user meets them: the program says class, shard, file and place and
ends with 1, or, told to skip, exports what is sound, lists the rest and ends with 3. Never a row that
is not the server's, never a crash, never a byte written into the data.
"""

import json
import os
import pathlib
import random
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
import fixtures  # noqa: E402
from fixtures import Scratch, State  # noqa: E402
from node import check, equal, run  # noqa: E402
from rows import Export, compare  # noqa: E402

SET = fixtures.SMALL / "states/v1.39.0/cleanup"
STATE = "before"  # one class of one shard: four segments without checksum, all with side files
NOBODY = "65534"
HEADER = 16


def lowered(rows):
    """Without the schema, where only damaged objects know it, a class has the name of its folder."""
    return {(c.lower(), tenant): found for (c, tenant), found in rows.items()}


class Directory:
    """A copy of a real directory to damage, with the rows its server answered."""

    def __init__(self, bin_dir):
        self.bin_dir, self.scratch = bin_dir, Scratch()
        self.path = fixtures.unpack(SET / "data.tar.zst", self.scratch.sub("data"), STATE) / STATE
        self.truth = lowered(State(SET, STATE).expected().rows)
        self.raw = self.export()[2].raw

    def export(self, *args, before=(), out=None):
        """(code, stderr, the export or None)"""
        dest = self.scratch.sub("out") if out is None else out
        done = subprocess.run([*before, f"{self.bin_dir}/sluice", "export", str(self.path), str(dest), "--id", "x",
                               "--quiet", *args], capture_output=True, text=True, timeout=120)
        check(done.returncode in (0, 1, 3), f"exit code {done.returncode}: {done.stderr}")
        return done.returncode, done.stderr, Export(dest / "x") if done.returncode != 1 else None

    def is_whole(self, what, *args):
        code, err, done = self.export(*args)
        equal(code, 0, f"{what}: {err}")
        equal(done.faults, [], what)
        for key, want in self.truth.items():
            faults = compare(lowered(done.rows())[key], want, what)
            check(not faults, "\n".join(faults))

    def is_refused(self, what, *words):
        """Refused with a sentence that has these words and names class and shard."""
        code, err, _ = self.export()
        equal(code, 1, f"{what}: {err}")
        for word in (*words, f"class clean shard {self.shard()}"):
            check(word.lower() in err.lower(), f"{what}: no {word!r} in {err}")
        equal(err.lower().count(f"class clean shard {self.shard()}".lower()), 1, f"{what}: told more than once: {err}")
        return err

    def is_skipped(self, what):
        """Goes on: says what it leaves out; every row that is there is the server's. Returns the rows."""
        code, err, done = self.export("--skip-damaged", "--json")
        equal(code, 3, f"{what}: {err}")
        check(f"left out: class clean shard {self.shard()}".lower() in err.lower(), f"{what}: {err}")
        self.is_told_by_the_export(what)
        rows = lowered(done.rows())
        for key, found in rows.items():
            faults = compare(found, {i: r for i, r in self.truth[key].items() if i in found}, what)
            check(not faults, "\n".join(faults))
        return sum(len(r) for r in rows.values())

    def is_told_by_the_export(self, what):
        """By its manifest, and so by verify: who has only the folder knows what is not in it."""
        folder = self.scratch.path / "out/x"
        told = json.loads((folder / "_manifest.json").read_text())["leftOut"]
        check(told["count"] == len(told["parts"]) > 0, f"{what}: {told}")
        check(all(self.shard().lower() == part["shard"].lower() and part["what"] for part in told["parts"]), f"{what}: {told}")
        done = subprocess.run([f"{self.bin_dir}/sluice", "verify", str(folder), "--json"], capture_output=True, text=True,
                              timeout=120)
        answer = json.loads(done.stdout)
        equal((done.returncode, answer["status"], answer["leftOut"]), (3, "good", told["count"]), what)

    def bucket(self):
        return next(self.path.glob("clean/*/lsm/objects"))

    def shard(self):
        return self.bucket().parent.parent.name

    def segments(self):
        found = sorted(self.bucket().glob("segment-*.db"))
        equal(len(found), 4, "segments")
        return found

    def close(self):
        self.scratch.close()


def change(path, at, value):
    data = bytearray(path.read_bytes())
    data[at:at + len(value)] = value
    path.write_bytes(data)


def test_the_directory_is_whole_before(bin_dir):
    d = Directory(bin_dir)
    d.is_whole("undamaged")
    d.close()


def test_a_cut_segment_is_told_and_skipped(bin_dir):
    d = Directory(bin_dir)
    path = d.segments()[1]
    whole = path.read_bytes()
    for length in (0, 1, HEADER - 1, HEADER, HEADER + 1, len(whole) // 3, len(whole) // 2):
        path.write_bytes(whole[:length])
        err = d.is_refused(f"cut to {length}", path.name, "--skip-damaged")
        check(any(c.isdigit() for c in err.split(path.name, 1)[1]), err)
        d.is_skipped(f"cut to {length}")
    d.close()


def test_flipped_bits_are_told_or_stay_in_their_value(bin_dir):
    d = Directory(bin_dir)
    rng = random.Random(4)
    told = 0
    for _ in range(60):
        path = rng.choice(d.segments())
        whole = path.read_bytes()
        at = rng.randrange(len(whole))
        change(path, at, bytes([whole[at] ^ 1 << rng.randrange(8)]))
        what = f"bit at {at} of {path.name}"
        code, err, done = d.export()
        if code == 1:
            told += 1
            check(path.name in err and d.shard() in err, f"{what}: {err}")
        else:
            for got, want in zip(done.raw.values(), d.raw.values(), strict=True):
                equal(got.keys(), want.keys(), what)
                check(sum(got[i] != want[i] for i in want) <= 1, f"{what}: several rows differ")
        path.write_bytes(whole)
    check(told > 0, "no change was told")
    d.close()


def test_one_broken_object_costs_one_object(bin_dir):
    d = Directory(bin_dir)
    path = d.segments()[3]
    data = path.read_bytes()
    value = int.from_bytes(data[HEADER + 1:HEADER + 9], "little")
    change(path, HEADER + 9 + value, b"\x11")  # the length of the first key
    d.is_refused("a broken node", path.name, "at offset")
    rows = d.is_skipped("a broken node")
    check(rows >= sum(len(r) for r in d.truth.values()) - 1, f"{rows} rows")
    d.close()


def test_zeroes_and_foreign_bytes_are_told(bin_dir):
    d = Directory(bin_dir)
    path = d.segments()[0]
    whole = path.read_bytes()
    for what, data in (("all zero", bytes(len(whole))), ("zero from the middle", whole[:9000] + bytes(len(whole) - 9000)),
                       ("another program's", b"SQLite format 3\0" + bytes(range(256)) * 20), ("text", b"hello\n" * 100)):
        path.write_bytes(data)
        d.is_refused(what, path.name)
        d.is_skipped(what)
    d.close()


def test_what_lies_behind_a_segment_changes_nothing(bin_dir):
    d = Directory(bin_dir)
    path = d.segments()[0]
    path.write_bytes(path.read_bytes() + b"\xee" * 5000)
    d.is_whole("over-long")
    d.close()


def test_a_missing_segment_is_told_by_its_side_files(bin_dir):
    d = Directory(bin_dir)
    path = d.segments()[2]
    path.unlink()
    d.is_refused("missing", path.name, "is missing")
    equal(d.is_skipped("missing"), 0, "rows of a shard with a file missing")
    d.close()


def test_side_files_are_never_needed(bin_dir):
    d = Directory(bin_dir)
    for path in d.bucket().iterdir():
        if path.suffix in (".bloom", ".cna"):
            path.write_bytes(b"\xff" * 7)
    d.is_whole("broken side files")
    for path in d.bucket().iterdir():
        if path.suffix in (".bloom", ".cna", ".bolt"):
            path.unlink()
    d.is_whole("no side files")
    d.close()


def test_leftovers_of_crashes_are_passed_over(bin_dir):
    d = Directory(bin_dir)
    a, b = (p.name[len("segment-"):].split(".")[0] for p in d.segments()[:2])
    for name in (f"segment-{a}_{b}.db.tmp", f"segment-{a}_{b}.bloom.tmp", f"segment-{b}.db.tmp", f"segment-{b}.wal",
                 f"segment-{a}.db.1795429643208.deleteme", f"segment-{a}_{b}_{b}.db.tmp", "segment-99.txt", "core"):
        (d.bucket() / name).write_bytes(b"" if name.endswith(".wal") else b"half-written")
    (d.bucket() / "segment-1.scratch.d").mkdir()
    (d.path / "clean" / f"{d.shard()}.1795429643208.0a1b2c3d.deleteme").mkdir()
    d.is_whole("leftovers")
    d.close()


def test_a_torn_log_is_no_damage_a_changed_one_is(bin_dir):
    d = Directory(bin_dir)
    log = fixtures.SMALL / "lsm/v1.34.20-log/segment-1795430358406584605.wal"
    copy = d.bucket() / "segment-9999999999999999999.wal"
    data = log.read_bytes()
    copy.write_bytes(data[:40])  # a part of its first record
    d.is_whole("torn in the first record")
    copy.write_bytes(data[:100] + bytes([data[100] ^ 4]) + data[101:])
    d.is_refused("changed", copy.name, "damaged from offset 0")
    code, err, done = d.export("--skip-damaged")
    equal(code, 3, err)
    check(copy.name in err, err)
    equal(sum(len(r) for r in done.raw.values()), sum(len(r) for r in d.truth.values()) + 1, "the other record is there")
    d.close()


def as_nobody(bin_dir, d):
    """The program where any user may run it, and a folder where that user may write."""
    place = d.scratch.sub("nobody")
    shutil.copy(f"{bin_dir}/sluice", place)
    for path in (place, d.scratch.path):
        path.chmod(0o777)
    return place


def test_unreadable_folders_say_whose_they_are(bin_dir):
    if os.geteuid() != 0:
        print("note: only root can run a program as somebody else; left out", flush=True)
        return
    d = Directory(bin_dir)
    place = as_nobody(bin_dir, d)
    d.bin_dir = place
    out = place / "out"
    before = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    for closed in (d.path, d.bucket(), d.segments()[0]):
        mode = closed.stat().st_mode
        for path in d.path.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        d.path.chmod(0o755)
        closed.chmod(0)
        code, err, _ = d.export(before=before, out=out)
        equal(code, 1, err)
        check("ermission denied" in err and str(closed) in err, err)
        code, err, _ = d.export("--skip-damaged", before=before, out=out)
        equal(code, 1, f"what may not be read is not damaged: {err}")
        closed.chmod(mode)
    d.close()


def test_links_are_followed_to_folders_and_refused_for_files(bin_dir):
    d = Directory(bin_dir)
    moved = d.scratch.sub("elsewhere")
    real, lsm = d.path, d.bucket().parent
    shutil.move(lsm, moved / "lsm")  # data moved to another disk
    lsm.symlink_to(moved / "lsm")
    d.is_whole("a folder behind a link")
    link = moved / "link"
    link.symlink_to(real)
    d.path = link
    d.is_whole("the directory behind a link")
    path = d.segments()[0]
    shutil.move(path, moved / path.name)
    path.symlink_to(moved / path.name)
    d.is_refused("a segment behind a link", path.name, "symbolic link")
    path.unlink()
    os.mkfifo(path)
    d.is_refused("a pipe", path.name, "not a plain file")
    d.close()


def test_what_is_no_weaviate_directory_is_said(bin_dir):
    scratch = Scratch()
    empty, text = scratch.sub("empty"), scratch.path / "text"
    text.write_text("no folder")
    (scratch.sub("photos") / "a.jpg").write_bytes(b"x")
    for path, word in ((empty, "nothing that can be exported"), (text, "not a folder"),
                       (scratch.path / "photos", "nothing that can be exported"), (scratch.path / "absent", "absent")):
        done = subprocess.run([f"{bin_dir}/sluice", "export", str(path), str(scratch.sub("out"))], capture_output=True,
                              text=True, timeout=60)
        equal(done.returncode, 1, done.stderr)
        check(word in done.stderr, done.stderr)
    scratch.close()


def test_files_that_vanish_while_it_reads(bin_dir):
    """Compactions that delete files: here a mover renames and restores a segment as fast as it can."""
    d = Directory(bin_dir)
    mover = subprocess.Popen([sys.executable, "-c", (
        "import os, sys\n"
        "a, b = sys.argv[1], sys.argv[1] + '.deleteme'\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    os.rename(a, b); os.rename(b, a)\n"), str(d.segments()[1])], stdout=subprocess.PIPE)
    mover.stdout.readline()
    try:
        for _ in range(8):
            code, err, done = d.export()  # a directory said to be stopped may not change: or it is told
            check(code == 0 or "sluice: " in err, err)
            for key, want in d.truth.items() if code == 0 else ():
                faults = compare(lowered(done.rows())[key], want, "moving")
                check(not faults, "\n".join(faults))
    finally:
        mover.kill()
        mover.wait()
    d.close()


def test_damage_in_json(bin_dir):
    """Programs learn how much was left out."""
    d = Directory(bin_dir)
    d.segments()[0].write_bytes(b"")
    done = subprocess.run([f"{bin_dir}/sluice", "export", str(d.path), str(d.scratch.sub("out")), "--id", "x", "--json",
                           "--skip-damaged"], capture_output=True, text=True, timeout=60)
    equal(done.returncode, 3, done.stderr)
    line = json.loads(done.stdout.splitlines()[-1])
    equal(line["status"], "SUCCESS")
    check(line["leftOut"] > 0, line)
    d.close()


if __name__ == "__main__":
    run(globals())
