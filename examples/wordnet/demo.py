"""The main job on real data: load WordNet, export it while writing goes on, read it back.

Called by `./dev demo` with the folder of the programs. Starts a node on a free port with a temporary
data folder, loads `Synset` (117,659 synsets with a 384-d vector) and the multi-tenant `Word`, sets one
tenant COLD, keeps a writer busy, exports both collections, and lets DuckDB, which knows nothing of
Sluice, count and print what is in the files. Everything shown is measured in this run.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid

import duckdb

DICT = "/usr/share/wordnet"
PARTS = ["noun", "verb", "adj", "adv"]


def prop(name, data_type, **more):
    return {"name": name, "dataType": [data_type], **more}


SYNSET = {
    "class": "Synset",
    "vectorConfig": {"default": {"vectorizer": {"none": {}}, "vectorIndexType": "flat"}},
    "properties": [
        prop("lemmas", "text[]"), prop("gloss", "text"), prop("examples", "text[]"),
        prop("lexicalFile", "text"), prop("offset", "int"), prop("lemmaCount", "int"),
        prop("isSatellite", "boolean"), prop("released", "date"), prop("hypernym", "uuid"),
        prop("source", "object", nestedProperties=[prop("name", "text"), prop("version", "number")]),
        prop("relations", "object[]", nestedProperties=[
            prop("kind", "text"), prop("target", "uuid"), prop("isLexical", "boolean")]),
    ],
}
WORD = {
    "class": "Word",
    "multiTenancyConfig": {"enabled": True},
    "properties": [prop("lemma", "text"), prop("synset", "uuid"), prop("letters", "int"),
                   prop("isPhrase", "boolean")],
}


class Node:
    """A sluiced of its own on a free port."""

    def __init__(self, bin_dir, folder):
        env = {"PATH": os.environ["PATH"], "EXPORT_ENABLED": "true", "SLUICE_PORT": "0", "GRPC_PORT": "0",
               "PERSISTENCE_DATA_PATH": f"{folder}/data", "CLUSTER_HOSTNAME": "node1"}
        self.process = subprocess.Popen([f"{bin_dir}/sluiced"], env=env, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            event = json.loads(line)
            if event.get("msg") == "listening":
                self.url = f"http://127.0.0.1:{event['port']}"
                break
        else:
            sys.exit(f"sluiced did not start (exit code {self.process.wait()})")
        threading.Thread(target=self.drain, daemon=True).start()

    def drain(self):
        for line in self.process.stderr:
            if '"level":"error"' in line or '"level":"warning"' in line:
                sys.stderr.write(line)

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"},
                                         method=method)
        with urllib.request.urlopen(request, timeout=60) as reply:
            text = reply.read()
            return json.loads(text) if text else None

    def peak_memory(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return 0

    def stop(self):
        self.process.terminate()
        code = self.process.wait(30)
        if code != 0:
            sys.exit(f"sluiced ended with exit code {code}")


class Writer(threading.Thread):
    """Writes new synsets without pause and notes when each batch was acknowledged."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.acknowledged, self.is_stopping = node, [], threading.Event()

    def run(self):
        while not self.is_stopping.is_set():
            ids = [str(uuid.uuid4()) for _ in range(50)]
            objects = [{"class": "Synset", "id": i, "vector": [1.0] + [0.0] * 383,
                        "properties": {"gloss": "written during the export"}} for i in ids]
            begun = time.monotonic()
            self.node.call("POST", "/v1/batch/objects", {"objects": objects})
            self.acknowledged.append((begun, time.monotonic(), ids))


def heading(text):
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def run(*command):
    subprocess.run(command, check=True)


def load(bin_dir, node, folder):
    heading("1. Load WordNet")
    run(f"{bin_dir}/sluice-wordnet", DICT, folder)
    node.call("POST", "/v1/schema", SYNSET)
    node.call("POST", "/v1/schema", WORD)
    node.call("POST", "/v1/schema/Word/tenants", [{"name": p} for p in PARTS])
    begun = time.monotonic()
    server = ["--server", node.url]
    run(f"{bin_dir}/sluice", "load", f"{folder}/synset.jsonl", "--collection", "Synset", *server)
    for part in PARTS:
        run(f"{bin_dir}/sluice", "load", f"{folder}/word-{part}.jsonl", "--collection", "Word",
            "--tenant", part, *server)
    node.call("PUT", "/v1/schema/Word/tenants", [{"name": "adv", "activityStatus": "COLD"}])
    print(f"loaded in {time.monotonic() - begun:.1f} s; tenant adv is COLD")


def export(bin_dir, node):
    heading("2. Export both collections while a writer goes on")
    writer = Writer(node)
    writer.start()
    while len(writer.acknowledged) < 5:
        time.sleep(0.01)
    before = time.monotonic()
    reply = node.call("POST", "/v1/export/filesystem", {"id": "wordnet", "file_format": "parquet"})
    after = time.monotonic()
    print(f"POST answered {reply['status']} after {1000 * (after - before):.0f} ms")
    run(f"{bin_dir}/sluice", "wait", "wordnet", "--server", node.url)
    writer.is_stopping.set()
    writer.join()
    return before, after, writer.acknowledged


def check_instant(table, before, after, acknowledged):
    """Acknowledged before the POST is in; begun after the 200 is not."""
    exported = {row[0] for row in duckdb.sql(
        f"select id from {table} where decode(properties) like '%written during the export%'").fetchall()}
    must = {i for _, acked, ids in acknowledged if acked < before for i in ids}
    must_not = {i for begun, _, ids in acknowledged if begun > after for i in ids}
    if must - exported or must_not & exported:
        sys.exit(f"not one instant: {len(must - exported)} rows lost, {len(must_not & exported)} rows too many")
    print(f"one instant: all {len(must)} objects acknowledged before the POST are in, "
          f"none of {len(must_not)} written after the 200")


def report(node, folder, before, after, acknowledged):
    status = node.call("GET", "/v1/export/filesystem/wordnet")
    if status["status"] != "SUCCESS":
        sys.exit(f"the export ended {status['status']}: {status.get('error')}")
    heading("3. What DuckDB finds in the files")
    pattern = f"{folder}/data/exports/wordnet/*.parquet"
    files = duckdb.sql(f"""
        select split_part(file_name, '/', -1) as file, num_rows as rows, num_row_groups as groups
        from parquet_file_metadata('{pattern}') order by 1""").fetchall()
    total = 0
    for name, rows, groups in files:
        size = os.path.getsize(f"{folder}/data/exports/wordnet/{name}")
        total += size
        print(f"  {name:28} {rows:>8} rows  {groups} row groups  {size / 1e6:8.1f} MB")
    rows = sum(f[1] for f in files)
    seconds = status["tookInMs"] / 1000
    print(f"""
  files           {len(files)}
  rows            {rows:,} (the node says {status['objectsTotal']:,})
  bytes           {total / 1e6:,.1f} MB
  time            {seconds:.2f} s with every byte synced to disk
  rows per second {rows / seconds:,.0f}
  peak memory     {node.peak_memory() / 1e6:.0f} MB, load included (limit 268 MB)""")
    if rows != status["objectsTotal"]:
        sys.exit("row counts differ")
    check_instant(f"read_parquet('{folder}/data/exports/wordnet/Synset_*.parquet')", before, after, acknowledged)
    print("\n  three rows:")
    for row in duckdb.sql(f"""
            select id, json_extract_string(decode(properties), '$.lemmas[0]') as lemma,
                   json_extract_string(decode(properties), '$.gloss') as gloss,
                   left(decode(named_vectors), 48) as vector
            from read_parquet('{folder}/data/exports/wordnet/Synset_*.parquet')
            where lemma in ('sluice', 'parquet', 'database') order by lemma limit 3""").fetchall():
        print("   ", *row, sep=" | ")


def lake(bin_dir, node, folder):
    heading("4. The same, typed, for a lake; verified page by page")
    server = ["--server", node.url]
    run(f"{bin_dir}/sluice", "create", "lake", "--include", "Synset", "--layout", "lake", "--wait", *server)
    for name in ("wordnet", "lake"):
        run(f"{bin_dir}/sluice", "verify", "--deep", f"{folder}/data/exports/{name}")
    files = f"'{folder}/data/exports/lake/collection=Synset/*.parquet'"
    vector = next(row[0] for row in duckdb.sql(f"describe select * from {files}").fetchall() if row[0].startswith("vector_"))
    print("\n  nearest to 'sluice' by their vectors, in DuckDB:")
    for row in duckdb.sql(f"""
            with asked as (select {vector} as v from {files} where properties.lemmas[1] = 'sluice' limit 1)
            select properties.lemmas[1], round(list_cosine_similarity({vector}, v)::double, 3) as likeness, properties.gloss
            from {files}, asked order by likeness desc limit 3""").fetchall():
        print("   ", *row, sep=" | ")


def main():
    bin_dir = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="sluice-demo-") as folder:
        node = Node(bin_dir, folder)
        load(bin_dir, node, folder)
        times = export(bin_dir, node)
        report(node, folder, *times)
        lake(bin_dir, node, folder)
        node.stop()
    heading("Done: SIGTERM stopped the node cleanly.")


main()
