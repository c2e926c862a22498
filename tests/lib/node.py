"""A sluiced of its own for a test: temporary data folder, port from the kernel, no sleeps."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
import uuid


class Failed(AssertionError):
    """An expectation that did not hold; its text says what was seen."""


class NotHere(Exception):
    """What nobody can install is missing here; the report says that the test was not run."""


def check(condition, *seen):
    if not condition:
        raise Failed(" ".join(repr(s) if not isinstance(s, str) else s for s in seen))


def equal(got, want, what=""):
    check(got == want, f"{what}: got {got!r}, want {want!r}")


def sanitizer_env():
    """Settings of sanitizers, which a program under them needs beside its own: else UBSan only prints what it finds."""
    return {k: os.environ[k] for k in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS") if k in os.environ}


class Node:
    """Starts on creation; `stop` ends it cleanly, `kill` as a power cut would end the process."""

    running = []  # nodes a failed test left behind; run() ends them

    def __init__(self, bin_dir, data=None, **env):
        self.bin_dir = pathlib.Path(bin_dir)
        self.owned = data is None
        self.data = pathlib.Path(tempfile.mkdtemp(prefix="sluice-test-")) if data is None else pathlib.Path(data)
        self.env = {"PATH": os.environ["PATH"], "EXPORT_ENABLED": "true", "SLUICE_PORT": "0", "GRPC_PORT": "0",
                    "CLUSTER_HOSTNAME": "node1", "PERSISTENCE_DATA_PATH": str(self.data), **sanitizer_env()}
        if "HOME" in os.environ:
            self.env["HOME"] = os.environ["HOME"]
        self.env.update({k: str(v) for k, v in env.items()})
        self.log = []
        self.start()

    def start(self):
        self.process = subprocess.Popen([str(self.bin_dir / "sluiced")], env=self.env, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, errors="replace")
        Node.running.append(self)
        for line in self.process.stderr:
            self.log.append(line)
            if '"listening"' in line:
                told = json.loads(line)
                self.port, self.grpc_port = told["port"], told["grpc_port"]
                break
        else:
            raise Failed(f"sluiced did not start: {''.join(self.log[-3:])} exit code {self.process.wait()}")
        self.reader = threading.Thread(target=self.read_log, daemon=True)
        self.reader.start()

    def read_log(self):
        with self.process.stderr as lines:
            self.log.extend(lines)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def call(self, method, path, body=None, headers=None, raw=None, timeout=120):
        """(status, parsed body or text or None, headers)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if data is not None else {}
        sent.update(headers or {})
        connection.request(method, path, data, sent)
        reply = connection.getresponse()
        text = reply.read()
        connection.close()
        try:
            parsed = json.loads(text) if text else None
        except ValueError:
            parsed = text.decode(errors="replace")
        return reply.status, parsed, dict(reply.getheaders())

    def ok(self, method, path, body=None, want=(200, 201, 204)):
        status, parsed, _ = self.call(method, path, body)
        check(status in want, f"{method} {path}: {status} {parsed}")
        return parsed

    def create_class(self, name, tenants=None, **more):
        body = {"class": name, "vectorConfig": {"default": {"vectorizer": {"none": {}}}}, **more}
        if tenants is not None:
            body["multiTenancyConfig"] = {"enabled": True}
        self.ok("POST", "/v1/schema", body)
        if tenants:
            self.ok("POST", f"/v1/schema/{name}/tenants", [{"name": t} for t in tenants])

    def insert(self, class_name, count, tenant=None, dims=8, first=0, properties=None):
        """Ids of `count` objects written in batches; vectors and texts depend on the number alone."""
        ids = []
        for start in range(first, first + count, 1000):
            objects = []
            for n in range(start, min(start + 1000, first + count)):
                one = {"class": class_name, "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{class_name}/{tenant}/{n}")),
                       "properties": {"n": n, "text": f"object {n}", **(properties or {})},
                       "vector": [((n * 31 + i) % 97) / 97 for i in range(dims)]}
                if tenant:
                    one["tenant"] = tenant
                objects.append(one)
                ids.append(one["id"])
            for result in self.ok("POST", "/v1/batch/objects", {"objects": objects}):
                equal(result["result"]["status"], "SUCCESS", f"batch result {result.get('result')}")
        return ids

    def export(self, export_id, wait=True, **body):
        reply = self.ok("POST", "/v1/export/filesystem", {"id": export_id, "file_format": "parquet", **body})
        return self.wait(export_id) if wait else reply

    def wait(self, export_id):
        code, out, err = self.sluice("wait", export_id, "--json")
        check(out, f"sluice wait: {code} {err}")
        return json.loads(out)

    def folder(self, export_id):
        return self.data / "exports" / export_id

    def sluice(self, *args, stdin=None):
        """(exit code, stdout, stderr) of a `sluice` command against this node."""
        env = {**self.env, "SLUICE_SERVER": self.url}
        done = subprocess.run([str(self.bin_dir / "sluice"), *args], env=env, capture_output=True, text=True,
                              input=stdin, timeout=600)
        return done.returncode, done.stdout, done.stderr

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.reader.join()

    def stop(self):
        self.process.terminate()
        code = self.process.wait(60)
        self.reader.join()
        equal(code, 0, f"exit code after SIGTERM; log: {''.join(self.log[-5:])}")

    def close(self):
        if self.process.poll() is None:
            self.stop()
        if self.owned:
            shutil.rmtree(self.data, ignore_errors=True)


def leftovers(folder):
    """Temporary files below a folder."""
    return [str(p) for p in pathlib.Path(folder).rglob("*") if p.name.endswith(".sluice-tmp")]


def run(tests):
    """Runs functions named test_*(bin_dir) of a module; exit code 1 when one failed."""
    bin_dir = sys.argv[1] if pathlib.Path(sys.argv[1], "sluiced").exists() else os.path.join(sys.argv[1], "bin")
    wanted = [a for a in sys.argv[2:] if not a.startswith("--")]
    failed = 0
    for name, test in list(tests.items()):
        if not name.startswith("test_") or (wanted and name not in wanted):
            continue
        try:
            test(bin_dir)
            print(f"ok   {name}", flush=True)
        except NotHere as missing:
            print(f"NOT RUN {name}: {missing}", flush=True)
        except Exception as error:  # pylint: disable=broad-except
            failed += 1
            print(f"FAIL {name}: {type(error).__name__}: {error}", flush=True)
            if "--trace" in sys.argv:
                traceback.print_exc()
        for node in Node.running:
            if node.process.poll() is None:
                node.kill()
        Node.running.clear()
    sys.exit(failed > 0)
