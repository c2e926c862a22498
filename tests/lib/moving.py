"""Moves the files of one objects bucket as a running Weaviate server does, until it is killed.

Called as `moving.py DATA BUCKET WAL SEGMENT`: WAL holds a log a real server wrote, SEGMENT what that
server made of it when it flushed. Both are used again and again under new ids: a log grows byte by
byte, is flushed (.db.tmp, rename, log removed) while the next one grows already, and two segments are
compacted into one (<L>_<R>.db.tmp, inputs renamed to .deleteme, rename, inputs removed). As all of
them hold the same records, a compacted segment is SEGMENT itself, a level higher; and the bucket holds
at any moment what it held before, with a beginning of the log written over it. Nothing is synced: no
reader on the same machine could see it, and on a slow disk the bucket would stand still meanwhile.

Prints "moving" after the first round. Holds the locks of a running server: flock on its bolt files.
"""

import fcntl
import pathlib
import re
import sys

LEVEL = slice(0, 2)  # of a segment's header, little-endian


def lock(data):
    held = []
    for path in (data / "raft/raft.db", data / "schema.db", data / "modules.db", data / "classifications.db"):
        if path.exists():
            held.append(open(path, "rb"))
            fcntl.flock(held[-1], fcntl.LOCK_EX)
    return held


class Bucket:
    def __init__(self, folder, log, segment):
        self.folder, self.log_bytes, self.segment = folder, log, segment
        self.id = max(int(n) for p in folder.iterdir() for n in re.findall(r"\d{19}", p.name))
        self.counter = self.id // 1_000_000  # of .deleteme names, as the server counts

    def path(self, name):
        return self.folder / f"segment-{name}"

    def append(self, number, begin, end):
        """One system call for each byte: every length a log can have is there for a moment."""
        with open(self.path(f"{number}.wal"), "ab", buffering=0) as f:
            for n in range(begin, end):
                f.write(self.log_bytes[n:n + 1])

    def write(self, path, data):
        with open(path, "wb", buffering=0) as f:
            for n in range(0, len(data), 512):
                f.write(data[n:n + 512])

    def begin_log(self):
        self.id += 1
        self.append(self.id, 0, len(self.log_bytes) // 2)
        return self.id

    def end_log(self, number):
        self.append(number, len(self.log_bytes) // 2, len(self.log_bytes))

    def flush(self, number):
        final = self.path(f"{number}.l0.s0.db")
        temporary = final.with_name(final.name + ".tmp")
        self.write(temporary, self.segment)
        temporary.rename(final)
        self.path(f"{number}.wal").unlink()
        return final

    def compact(self, left, right, right_id, level):
        """Joins two segments under the id of the right one."""
        final = self.path(f"{right_id}.l{level}.s0.db")
        left_id = left.name.split("-")[1].split(".")[0]
        temporary = self.path(f"{left_id}_{right_id}.l{level}.s0.db.tmp")
        joined = bytearray(self.segment)
        joined[LEVEL] = level.to_bytes(2, "little")
        self.write(temporary, joined)
        marked = []
        for path in (left, right):
            self.counter += 1
            marked.append(path.with_name(f"{path.name}.{self.counter}.deleteme"))
            path.rename(marked[-1])
        temporary.rename(final)
        for path in marked:
            path.unlink()
        return final


def move(bucket):
    joined, number = None, bucket.begin_log()
    while True:
        bucket.end_log(number)
        following = bucket.begin_log()  # a full log is flushed while the next one grows
        flushed = bucket.flush(number)
        if joined is None:
            joined = flushed
        else:
            joined = bucket.compact(joined, flushed, number, 1)
            print("moving", flush=True)
        number = following


if __name__ == "__main__":
    locks = lock(pathlib.Path(sys.argv[1]))
    move(Bucket(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]).read_bytes(), pathlib.Path(sys.argv[4]).read_bytes()))
