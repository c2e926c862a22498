"""The official TypeScript client (typescript/client.mjs) against a node; its export read by pyarrow."""

import json
import pathlib
import subprocess
import sys

import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
from node import Node, check, equal, run  # noqa: E402

PACKAGES = HERE.parent.parent / "out" / "npm"  # ./dev setup


def id_of(n):
    return f"{n * 2654435761 % 2**32:08x}-0000-4000-8000-{n:012d}"


def test_typescript_client(bin_dir):
    node = Node(bin_dir)
    done = subprocess.run([pathlib.Path(sys.executable).parent / "node", HERE / "typescript" / "client.mjs", PACKAGES,
                           str(node.port), str(node.grpc_port)], capture_output=True, text=True, timeout=300)
    check(done.returncode == 0, done.stdout, done.stderr)
    rows = {}
    for path in node.folder("from-typescript").glob("*.parquet"):
        for row in pq.read_table(path).to_pylist():
            rows.setdefault(path.name.rsplit("_", 1)[0].split("_")[0], []).append(row)
    equal({name: len(found) for name, found in rows.items()}, {"Films": 299, "Named": 2, "Plain": 1, "Shared": 40})
    films = {row["id"]: json.loads(row["properties"]) for row in rows["Films"]}
    equal(set(films), {id_of(n) for n in range(3, 302)})
    for n in range(3, 302):
        values = films[id_of(n)]
        equal((values["title"], values["n"], values["tags"], values["score"], values["seen"]),
              ("" if n == 3 else f"Grüße {n} 😀", n, ["a", str(n)], n / 7, n % 2 == 0), f"object {n}")
    equal(sorted(json.loads(row["properties"])["n"] for row in rows["Shared"]), [*range(20), *range(100, 120)])
    node.close()


run(dict(globals()))
