"""Weaviate backups read straight from an object store: the files of an export are those of the export of the folder,
byte for byte, for every kind of packing and for incremental backups; nothing is written into the store."""

import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))

import pyarrow.parquet as parquet  # noqa: E402

import fixtures  # noqa: E402
import stores  # noqa: E402
from node import Node, check, equal, run  # noqa: E402


def sluice(bin_dir, *args, env=None, code=0):
    done = subprocess.run([f"{bin_dir}/sluice", "export", *map(str, args), "--json"], env=env or {}, capture_output=True,
                          text=True, timeout=300)
    equal(done.returncode, code, f"{args}: {done.stderr}")
    return done


def parquet_files(folder):
    return {p.name: p.read_bytes() for p in folder.glob("*.parquet")}


def tables(folder):
    """What pyarrow reads of each file."""
    return {p.name: parquet.read_table(p) for p in folder.glob("*.parquet")}


def one_of_each():
    """Of each packing and kind one backup, the newest server's; --all takes all."""
    kinds = {name.rpartition("-")[2]: (folder, name) for folder, name, _ in fixtures.backup_sets()}
    return [b[:2] for b in fixtures.backup_sets()] if "--all" in sys.argv else list(kinds.values())


def part_of_a_backup(scratch):
    """A folder with something that describes no backup."""
    part = scratch.sub("part")
    (part / "weekly").mkdir()
    (part / "weekly/notes.json").write_text("{}")
    return part


def check_store(bin_dir, store, scratch, wanted):
    seen = 0
    for folder, name, all_names in fixtures.backup_sets():
        if not wanted(folder, name):
            continue
        source = scratch.sub("source")
        for one in all_names:
            (source / one).mkdir()
            fixtures.unpack(folder / f"backup-{one}.tar.zst", source / one)
        spool, out = scratch.sub("spool"), scratch.sub("out")
        stores.put_all(store, source)
        before = store.objects()
        sluice(bin_dir, source / name, out, "--id", "folder", "--parallelism", 2)
        sluice(bin_dir, f"{store.place}/backups/{name}", out, "--id", "store", "--parallelism", 2, "--spool", spool,
               env=store.env)
        want, got = parquet_files(out / "folder"), parquet_files(out / "store")
        check(want, f"{folder.name}/{name}: no files")
        equal(sorted(got), sorted(want), f"{folder.name}/{name}")
        check(got == want, f"{folder.name}/{name}: other bytes")
        equal(list(spool.iterdir()), [], "left in the spool folder")
        check(store.objects() == before, "something was written into the store")
        seen += 1
    check(seen > 0, "no backup was tried")
    return seen


def test_backups_in_s3(bin_dir):
    scratch, chosen = fixtures.Scratch(), one_of_each()
    with stores.versitygw() as store:
        seen = check_store(bin_dir, store, scratch, lambda folder, name: (folder, name) in chosen)
        print(f"     {seen} backups")
        # What is not there, and from store to store.
        done = sluice(bin_dir, f"{store.place}/backups/nothere", scratch.sub("none"), env=store.env, code=1)
        check(f"sluice: {store.place}/backups/nothere: no backup is there" in done.stderr, done.stderr)
        stores.put_all(store, part_of_a_backup(scratch))
        for place, words in (("backups", "holds several backups; name one of them: "), ("backups/weekly", "is no backup")):
            done = sluice(bin_dir, f"{store.place}/{place}", scratch.sub("none"), env=store.env, code=1)
            check(f"{store.place}/{place} {words}" in done.stderr and "mirror" not in done.stderr, done.stderr)
        name = chosen[0][1]
        done = sluice(bin_dir, f"{store.place}/backups/{name}", f"{store.place}/lake", "--id", "x", env=store.env)
        equal(json.loads(done.stdout)["path"], f"{store.place}/lake/x")
        check(any(k.startswith("lake/x/") and k.endswith(".parquet") for k in store.objects("lake/")), "files in the store")


def test_node_serves_a_backup_of_a_store(bin_dir):
    """SLUICE_SOURCE names the place; a node that was killed starts again, and one without the backup does not."""
    scratch, (folder, name, all_names) = fixtures.Scratch(), next(fixtures.backup_sets())
    source, out = scratch.sub("source"), scratch.sub("out")
    for one in all_names:
        (source / one).mkdir()
        fixtures.unpack(folder / f"backup-{one}.tar.zst", source / one)
    sluice(bin_dir, source / name, out, "--id", "folder")
    want = tables(out / "folder")
    with stores.versitygw() as store:
        stores.put_all(store, source)
        before = store.objects()
        env = {k: v for k, v in store.env.items() if k != "EXPORT_DEFAULT_BUCKET"}
        node = Node(bin_dir, SLUICE_SOURCE=f"backup:{store.place}/backups/{name}", **env)
        equal(node.export("one")["status"], "SUCCESS")
        node.kill()
        node.start()
        equal(node.export("two")["status"], "SUCCESS")
        equal(len(list((node.data / "spool").iterdir())), 1, "the mirror of the killed node is gone")
        for export in ("one", "two"):
            check(tables(node.folder(export)) == want, f"{export} differs from the export of the folder")
        check(store.objects() == before, "something was written into the store")
        node.stop()
        equal(list((node.data / "spool").iterdir()), [], "left in the spool folder")
        for place, words in ((f"backup:{store.place}/backups/nothere", "no backup is there"),
                             (f"weaviate:{store.place}/backups", "a data directory lies in a folder")):
            node.env["SLUICE_SOURCE"] = place
            done = subprocess.run([f"{bin_dir}/sluiced"], env=node.env, capture_output=True, text=True, timeout=60)
            check(done.returncode != 0 and words in done.stderr, done.stderr[-300:])
        node.close()


def test_dry_runs_try_the_destination(bin_dir):
    scratch, (folder, name, _) = fixtures.Scratch(), next(fixtures.backup_sets())
    fixtures.unpack(folder / f"backup-{name}.tar.zst", scratch.sub(name))
    with stores.versitygw() as store:
        sluice(bin_dir, scratch.path / name, f"{store.place}/x", "--dry-run", env=store.env)
        done = sluice(bin_dir, scratch.path / name, "s3://nothere/x", "--dry-run", env=store.env, code=1)
        check("s3://nothere" in done.stderr or "nothere" in done.stderr, done.stderr)
        done = sluice(bin_dir, scratch.path / name, f"{store.place}/x", "--dry-run", code=1,
                      env={**store.env, "AWS_SECRET_ACCESS_KEY": "wrong-secret"})
        check("SignatureDoesNotMatch" in done.stderr and "wrong-secret" not in done.stderr, done.stderr)
        sluice(bin_dir, scratch.path / name, "s3://nothere/x", "--dry-run",
               env={**store.env, "EXPORT_SKIP_ACCESS_CHECK": "true"})


def test_backups_in_azure_and_google(bin_dir):
    for start in (stores.azurite, stores.fake_gcs):
        with start() as store:
            first = next(fixtures.backup_sets())[:2]
            check_store(bin_dir, store, fixtures.Scratch(), lambda folder, name, f=first: (folder, name) == f)


run(dict(globals()))
