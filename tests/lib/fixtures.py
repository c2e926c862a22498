"""Real Weaviate data with the truth beside it: where it lies, how it is unpacked, what it says.

A tree of fixtures has two folders. `states/<version>/<set>/` holds several states of one directory
in data.tar.zst, what the server answered in truth.tar.zst and how it all came about in info.json;
`real/<version>/` holds one directory or backup in each archive with its truth beside it. The tree
in tests/data/weaviate is a choice of the whole one, which --all takes instead where it is present.
"""

import functools
import hashlib
import json
import os
import pathlib
import shutil
import sys
import tarfile
import tempfile

import pyarrow as pa

from rows import from_truth, parse

REPO = pathlib.Path(__file__).parents[2]
SMALL = REPO / "tests/data/weaviate"
WHOLE = pathlib.Path(os.environ.get("SLUICE_FIXTURES", REPO.parent / "shared/fixtures"))


def root():
    if "--all" not in sys.argv:
        return SMALL
    if not (WHOLE / "states").is_dir():
        print(f"note: {WHOLE} is not there: --all takes tests/data/weaviate", flush=True)
        return SMALL
    return WHOLE


class Scratch:
    """A folder for one test; gone at the end of the process at the latest."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="sluice-truth-")
        self.path = pathlib.Path(self.folder.name)

    def sub(self, name):
        path = self.path / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def close(self):
        self.folder.cleanup()


def read_zst(path):
    with pa.input_stream(str(path), compression="zstd") as stream:
        return stream.read()


def unpack(archive, into, wanted=None):
    """Unpacks members whose first folder is `wanted`, or all; names, modes and times as in the archive.

    Snapshots of vector indexes stay out: megabytes of zeros that no reader of objects opens.
    """
    with pa.input_stream(str(archive), compression="zstd") as stream:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                is_wanted = wanted is None or pathlib.PurePath(member.name).parts[:1] == (wanted,)
                if is_wanted and not member.name.endswith(".snapshot"):
                    tar.extract(member, into, filter="tar")
    return into


def fingerprint(folder):
    """Everything about a folder that reading must leave as it is."""
    found = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        data = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        found[str(path.relative_to(folder))] = (about.st_mode, about.st_size, about.st_mtime_ns, data)
    return found


unpacked = {}  # {folder of a set: Scratch}; one at a time, as the tests come set by set


def unpacked_set(folder):
    """Where all states of a set lie; only to be read."""
    if folder not in unpacked:
        for scratch in unpacked.values():
            scratch.close()
        unpacked.clear()
        unpacked[folder] = Scratch()
        unpack(folder / "data.tar.zst", unpacked[folder].path)
    return unpacked[folder].path


@functools.lru_cache(maxsize=2)
def truth_files(archive):
    """{path in the archive: bytes}; a set's states share one archive, so two are kept."""
    with pa.input_stream(str(archive), compression="zstd") as stream:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            return {os.path.normpath(m.name): tar.extractfile(m).read() for m in tar if m.isfile()}


class Expected:
    """What an export must hold.

    rows: {(class, tenant or None): {id: row as rows.from_truth makes it}}
    classes: every class of the schema; tenants: {class: {tenant: status}} of those that have tenants
    """

    def __init__(self, rows, classes, tenants):
        self.rows, self.classes, self.tenants = rows, set(classes), tenants

    def only(self, classes):
        """Of some classes: what a backup of them holds."""
        return Expected({k: v for k, v in self.rows.items() if k[0] in classes},
                        self.classes & set(classes), {c: t for c, t in self.tenants.items() if c in classes})


class State:
    """One state of a directory in a set, or one backup of it."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.info = json.loads((folder / "info.json").read_text())
        self.about = self.info["states"].get(name, {})
        self.files = truth_files(folder / "truth.tar.zst")

    def __str__(self):
        return f"{self.info['version']}/{self.info['set']}/{self.name}"

    def path(self):
        """The directory; shared with other tests."""
        return unpacked_set(self.folder) / self.name

    def truth_dir(self):
        if self.about.get("how", "").startswith("SIGSTOP") and self.name == "mid-cleanup-switch":
            return "truth-before"  # the server loses acknowledged objects here; see README.md
        for name in (f"truth-{self.name}", self.about.get("truth_dir"), "truth-allhot", "truth-live"):
            if name and f"{name}/counts.json" in self.files:
                return name
        raise FileNotFoundError(f"{self}: no truth")

    def read_dir(self, name):
        """{(class, tenant): rows} of one truth folder."""
        found = {}
        for path, data in self.files.items():
            if path.startswith(name + "/") and path.endswith(".jsonl"):
                key = tuple(path[len(name) + 1:-len(".jsonl")].split("@", 1))
                found[key if len(key) == 2 else (key[0], None)] = from_truth(data)
        return found

    def tenant_states(self, truth_dir):
        """{class: {tenant: status}} at the time of the state."""
        name = f"{truth_dir}/tenants.json"
        if truth_dir == "truth-allhot":
            name = "tenants-after-deactivation.json"
        listed = json.loads(self.files[name])
        return {c: {t["name"]: t["activityStatus"] for t in tenants} for c, tenants in listed.items()}

    def expected(self, truth_dir=None):
        truth_dir = truth_dir or self.truth_dir()
        classes = [c["class"] for c in json.loads(self.files[f"{truth_dir}/schema.json"])["classes"]]
        tenants, rows = self.tenant_states(truth_dir), self.read_dir(truth_dir)
        # A server does not answer for tenants that are not active; they were read before or after.
        asleep = {(c, t) for c in tenants for t, status in tenants[c].items() if status != "HOT"}
        for other in ("truth-cold", "truth-allhot"):
            for key, found in self.read_dir(other).items():
                if key in asleep and not rows.get(key):
                    rows[key] = found
        for key in asleep:
            if tenants[key[0]][key[1]] not in ("COLD", "INACTIVE"):
                rows.pop(key, None)
        return Expected(rows, classes, tenants)

    def oplog(self):
        """The writer's requests of the state, or None when nothing was written meanwhile."""
        name = self.about.get("oplog", f"oplog-{self.name}.jsonl")
        lines = self.files.get(name)
        return None if lines is None else [parse(line) for line in lines.splitlines()]

    def span(self):
        """Begin and end of the copying, in unix seconds; a kill has no end."""
        moment = self.about.get("copy_time", float("inf"))
        return self.about.get("copy_start", moment), self.about.get("copy_end", moment)

    def server_exports(self):
        """(name, folder or archive) of the server's own exports of this state."""
        folder = self.folder / f"export-{self.name}"
        return sorted(p for p in folder.iterdir() if p.is_dir() or p.suffix == ".zst") if folder.is_dir() else []


def sets(tree):
    """Folders of the sets that hold directories."""
    return sorted(p.parent for p in tree.glob("states/*/*/data.tar.zst"))


def states(folder):
    """Names of the states that have a directory of their own."""
    info = json.loads((folder / "info.json").read_text())
    return [name for name, about in info["states"].items() if "bytes" in about]


def backups(folder):
    """Names of the backups of a set that are there."""
    return sorted(p.name[len("backup-"):-len(".tar.zst")] for p in folder.glob("backup-*.tar.zst"))


def backup_sets():
    """(folder of a set, name, names of all that must lie beside each other)."""
    for info in sorted(SMALL.glob("states/*/*/info.json")):
        about = json.loads(info.read_text()).get("backups", {})
        for name in backups(info.parent):
            yield info.parent, name, {name, about[name].get("base", name)}


def real_expected(folder, name):
    """Expected of an archive in real/<version>; all backups share one truth."""
    kind = "backup" if name.startswith("backup") else name
    rows = from_truth(read_zst(folder / f"{kind}.truth.jsonl.zst"), by_key=True)
    schema = json.loads((folder / "schema.json").read_text())
    tenants = {c: dict(listed) for c, listed in schema["tenants"].items()}
    return Expected(rows, [c["class"] for c in schema["schema"]["classes"]], tenants)
