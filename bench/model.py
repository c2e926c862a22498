"""What an export costs at any size, as arithmetic: straight lines in the dimensions, fitted to runs. Measures nothing.

Rows cost CPU, bytes read and bytes written, each a constant and a part that grows with the dimensions. Work overlaps,
so the time of an export is that of the resource that is busy longest, and a start that no row pays for.
"""

import math
import statistics

OBJECTS_OF_FILE = 500_000  # no file has more, whatever the layout
OBJECTS_OF_RANGE = 50_000  # none is cut into smaller ones
LAKE_FILES = 256           # what a shard of layout lake is cut into, once it is large enough
GROUP_MIB = 32             # of a row group; half of the memory is for those
PART_BYTES = 5 << 20       # sent in one request where each worker has twice that memory, no more
CALLS_OF_FILE = 4          # of S3: begun, completed, asked for before and after


def line(runs, fact):
    """(constant, per dimension) of a fact of a row."""
    slope, constant = statistics.linear_regression([r["dims"] for r in runs], [r[fact] / r["rows"] for r in runs])
    return constant, slope


def files_of(rows, layout, workers):
    wanted = LAKE_FILES if layout == "lake" else workers
    return max(min(wanted, rows // OBJECTS_OF_RANGE), math.ceil(rows / OBJECTS_OF_FILE), 1)


class Model:
    """`runs` are exports of one layout with one worker: dims, rows, cpu, bytes, stored (seconds and bytes in all).
    `start_s` is the time of an export of nothing much, `shared` what a core's work costs when its neighbour works, too,
    `manifests` two runs of few and of many files.
    """

    def __init__(self, layout, runs, start_s, shared, manifests):
        self.layout, self.start_s, self.shared = layout, start_s, shared
        few, many = ((r["files"], r["manifest"]) for r in manifests)
        self.line_bytes = (many[1] - few[1]) / (many[0] - few[0])
        self.head_bytes = few[1] - few[0] * self.line_bytes
        self.cpu, self.bytes, self.stored = (line(runs, fact) for fact in ("cpu", "bytes", "stored"))

    def told(self):
        return {"layout": self.layout, "start_s": round(self.start_s, 3), "shared": round(self.shared, 3),
                "manifest_bytes_of_file": round(self.line_bytes),
                **{f"{name}_of_row": [float(f"{v:.4g}") for v in fact]
                   for name, fact in (("cpu_s", self.cpu), ("bytes", self.bytes), ("stored_bytes", self.stored))}}

    def predict(self, rows, dims, workers, write_mb_per_s, read_mb_per_s=None):
        """`read_mb_per_s` None: what is read lies in the page cache."""
        cpu, size, stored = (rows * (fact[0] + fact[1] * dims) for fact in (self.cpu, self.bytes, self.stored))
        files = files_of(rows, self.layout, workers)
        hands = min(workers, files)  # a file is one worker's
        cpu *= self.shared if hands > 1 else 1
        busy = {"cpu": cpu / hands, "write": size / write_mb_per_s / 1e6,
                "read": stored / read_mb_per_s / 1e6 if read_mb_per_s else 0}
        longest = max(busy, key=busy.get)
        parts = files * math.ceil(size / files / PART_BYTES)
        return {"rows": rows, "dims": dims, "workers": workers, "memory_mib": max(256, 2 * GROUP_MIB * workers),
                "cpu_s": cpu, "wall_s": self.start_s + busy[longest], "bound_by": longest, "bytes": size, "files": files,
                "manifest_bytes": self.head_bytes + files * self.line_bytes,
                "requests": parts + CALLS_OF_FILE * files}
