"""Exports to a real S3 server over a way that breaks: whatever happens, an export that says SUCCESS left exactly the
objects that an export of the same data to a folder leaves as files, byte by byte, and one that says FAILED says why
and left nothing half-made: no open upload, no object that differs.

--all adds a thousand exports with random faults (SLUICE_CHAOS_RUNS, SLUICE_CHAOS_SEED choose others) and an outage of
ten minutes. A run is repeated by its seed, which a failure names.
"""

import base64
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
# pylint: disable=wrong-import-position
import stores
from fault_proxy import (Answer, Chaos, CutDown, CutUp, Delay, Edit, FaultProxy, Hang, Lost, Raw, Reset, Slow, always,
                         first, s3_answer)
from node import Failed, Node, check, equal, run, sanitizer_env

IS_ALL = "--all" in sys.argv
DAMAGED_ETAG = Edit((("ETag", '"00000000000000000000000000000000"'),))
BOMB = b'<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><a>&c;&c;&c;&c;</a>'
SLOW_DOWN = s3_answer(503, "SlowDown")
INTERNAL = s3_answer(500, "InternalError")


class World:
    """Data of two collections, one of several parts and one of a single small object; what their export looks like;
    an S3 server."""

    def __init__(self, bin_dir, stack):
        self.bin = pathlib.Path(bin_dir)
        self.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-fault-")))
        self.data = self.folder / "data"
        self.fill()
        equal(self.sluice(self.folder / "want", {}).returncode, 0, "the export to a folder")
        self.want = {p.name: p.read_bytes() for p in (self.folder / "want/x").glob("*.parquet")}
        equal(len(self.want), 2, "files")
        check(max(map(len, self.want.values())) > 10 << 20, "too small for three parts")
        self.use(stack.enter_context(stores.versitygw()))
        self.runs = 0

    def use(self, store):
        self.store, self.client = store, store.client()
        self.port = urllib.parse.urlsplit(store.url).port

    def fill(self):
        self.data.mkdir()
        node, chance = Node(self.bin, data=self.data), random.Random(5)
        for name, count, size in (("Large", 5000, 3000), ("Small", 20, 10)):
            node.create_class(name)
            for start in range(0, count, 1000):
                objects = [{"class": name, "vector": [0.5, n], "properties": {
                    "n": n, "text": base64.b64encode(chance.randbytes(size * 3 // 4)).decode()}}
                    for n in range(start, min(start + 1000, count))]
                node.ok("POST", "/v1/batch/objects", {"objects": objects})
        node.stop()

    def command(self, dest):
        return [str(self.bin / "sluice"), "export", str(self.data), str(dest), "--id", "x", "--json", "--quiet",
                "--parallelism", "2"]

    def env(self, env):
        return {"PATH": os.environ["PATH"], **sanitizer_env(), **env}

    def sluice(self, dest, env):
        return subprocess.run(self.command(dest), env=self.env(env), capture_output=True, text=True, timeout=1800)

    def place(self):
        self.runs += 1
        return f"run{self.runs}"

    def env_through(self, proxy, **more):
        env = {k: v.replace(f"127.0.0.1:{self.port}", f"127.0.0.1:{proxy.port}") for k, v in self.store.env.items()}
        return {**env, "SLUICE_STORE_STALL": "1s", "SLUICE_STORE_DEADLINE": "30s", **more}

    def objects(self, prefix):
        read = self.read_gcs if isinstance(self.store, stores.Gcs) else self.store.objects
        return {k.removeprefix(f"{prefix}/x/"): v for k, v in read(prefix + "/").items()}

    def read_gcs(self, prefix):
        """By hand: the emulator's links name the proxy, which is gone."""
        def get(path):
            with urllib.request.urlopen(self.store.url + path, timeout=30) as reply:
                return reply.read()
        listed = json.loads(get(f"/storage/v1/b/{stores.BUCKET}/o?prefix={urllib.parse.quote(prefix, safe='')}"))
        names = [entry["name"] for entry in listed.get("items", [])]
        return {n: get(f"/download/storage/v1/b/{stores.BUCKET}/o/{urllib.parse.quote(n, safe='')}?alt=media") for n in names}

    def clear(self, prefix):
        """What an export left, so that the next one is judged alone."""
        if isinstance(self.store, stores.S3):
            files = self.store.folder / "data" / stores.BUCKET / prefix  # of versitygw
            shutil.rmtree(files, ignore_errors=True)
            for key in self.store.objects(prefix + "/"):
                self.client.delete_object(Bucket=stores.BUCKET, Key=key)
            for u in self.client.list_multipart_uploads(Bucket=stores.BUCKET).get("Uploads", []):
                self.client.abort_multipart_upload(Bucket=stores.BUCKET, Key=u["Key"], UploadId=u["UploadId"])
        elif isinstance(self.store, stores.Azure):
            for blob in self.client.list_blobs(name_starts_with=prefix + "/"):
                self.client.delete_blob(blob.name)
        else:
            for blob in self.client.list_blobs(stores.BUCKET, prefix=prefix + "/"):
                blob.delete()

    def judge(self, prefix, done):
        """Holds what was told against what is there; the status. Clears the prefix."""
        found = self.objects(prefix)
        uploads = [] if isinstance(self.store, stores.Gcs) else self.store.open_uploads()  # its sessions are not listed
        told = json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}
        files = {k: v for k, v in found.items() if k.endswith(".parquet")}
        try:
            for name, data in files.items():
                check(name in self.want and data == self.want[name], f"{name} is not what the folder has")
            if done.returncode == 0:
                equal(told.get("status"), "SUCCESS", "status with exit code 0")
                equal(sorted(files), sorted(self.want), "files of a SUCCESS")
                equal(json.loads(found["export_metadata.json"])["status"], "SUCCESS", "status in the record")
            else:
                equal(done.returncode, 1, f"exit code; {done.stderr}")
                check(told.get("status") in ("FAILED", "CANCELED", None), f"exit code 1 and {told}")
                check(told.get("error") or done.stderr.strip(), "a failure without a sentence")
                if "export_metadata.json" in found:
                    record = json.loads(found["export_metadata.json"])
                    check(record["status"] != "SUCCESS", f"exit code 1 and {record}")
            check(not uploads, f"open uploads: {uploads}")
        finally:
            self.clear(prefix)
        text = f"{told.get('error', '')} {done.stderr}"
        check(stores.SECRET not in text and stores.Azure.key not in text, f"a secret in {text}")
        return told.get("status", "FAILED"), text

    def through(self, rules, **env):
        """(status, text, proxy) of an export with these rules on its way."""
        prefix = self.place()
        with FaultProxy(self.port) as proxy:
            proxy.rules += rules
            done = self.sluice(f"{self.store.place}/{prefix}", self.env_through(proxy, **env))
        try:
            return (*self.judge(prefix, done), proxy)
        except Exception as error:
            raise Failed("\n  ".join([str(error), *map(repr, proxy.log)])) from error


WORLD, STACK = [], contextlib.ExitStack()


def world(bin_dir):
    """One for all tests: they leave nothing in it."""
    if not WORLD:
        WORLD.append(World(bin_dir, STACK))
    return WORLD[0]


def survives(bin_dir, *rules, faults=1, **env):
    status, text, proxy = world(bin_dir).through(rules, **env)
    equal(status, "SUCCESS", text)
    check(len(proxy.faults) >= faults, f"only {proxy.faults} happened of {rules}")
    return proxy


def fails(bin_dir, words, *rules, **env):
    status, text, proxy = world(bin_dir).through(rules, **env)
    equal(status, "FAILED", f"{words}: {text}")
    for word in words:
        check(word in text, f"no {word!r} in {text!r}")
    return proxy


def test_without_a_fault(bin_dir):
    proxy = survives(bin_dir, faults=0)
    equal([r for r in proxy.log if r.status is None or r.status >= 500], [], "what the proxy passed")
    check(proxy.count("UploadPart") >= 3 and proxy.count("CompleteMultipartUpload") == 1, proxy.log)


def test_storms_of_5xx_and_429(bin_dir):
    survives(bin_dir, first(3, None, SLOW_DOWN), first(12, None, SLOW_DOWN, skip=8), faults=15)
    survives(bin_dir, first(3, "UploadPart", INTERNAL), first(2, "PutObject", s3_answer(502, "")),
             first(1, "CreateMultipartUpload", INTERNAL), first(2, "CompleteMultipartUpload", s3_answer(504, "")), faults=8)
    survives(bin_dir, first(2, "UploadPart", Answer(429)), first(2, "HeadObject", Answer(429)), faults=4)
    begun = time.monotonic()
    survives(bin_dir, first(1, "UploadPart", s3_answer(503, "SlowDown", retry_after=2)))
    check(time.monotonic() - begun >= 2, "Retry-After was not waited for")


def test_a_storm_without_end(bin_dir):
    fails(bin_dir, ["s3://bucket", "503", "tried"], always(None, SLOW_DOWN), SLUICE_STORE_DEADLINE="2s")
    proxy = fails(bin_dir, ["s3://bucket", "500", "tried"], always("UploadPart", INTERNAL), SLUICE_STORE_DEADLINE="2s")
    equal(proxy.count("CompleteMultipartUpload"), 0, "completes of an upload without parts")


def test_bodies_that_stall_or_crawl(bin_dir):
    survives(bin_dir, first(2, "UploadPart", Hang()), first(1, "CompleteMultipartUpload", Hang()), faults=3)
    survives(bin_dir, first(1, "UploadPart", Slow(3000)), first(1, "PutObject", Slow(1)), faults=2)
    survives(bin_dir, first(3, None, Delay(0.5)), faults=3)
    fails(bin_dir, ["s3://bucket", "no byte moved"], always("UploadPart", Hang()), SLUICE_STORE_DEADLINE="2s")


def test_cuts_in_any_place(bin_dir):
    for name in ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "PutObject"):
        survives(bin_dir, first(1, name, Reset()), first(1, name, CutDown(0)), first(1, name, CutDown(17)),
                 first(1, name, CutDown(120)), first(1, name, CutUp(0)), faults=5)
    for after in (1, 65536, 5 << 20):
        survives(bin_dir, first(2, "UploadPart", CutUp(after)), faults=2)


def test_lost_answers_after_success(bin_dir):
    for name in ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "PutObject"):
        survives(bin_dir, first(1, name, Lost()))
    survives(bin_dir, first(3, "CompleteMultipartUpload", Lost()), first(2, "HeadObject", Lost()), faults=4)


def test_an_error_inside_a_200(bin_dir):
    survives(bin_dir, first(1, "CompleteMultipartUpload", s3_answer(200, "InternalError")))
    survives(bin_dir, first(1, "CompleteMultipartUpload", s3_answer(200, "InternalError", is_done=True)))


def test_answers_that_mean_nothing(bin_dir):
    """Bombs, bytes of another protocol, nothing: the object is there, or the export has failed."""
    for body in (BOMB, b"", b"<a>" * 100000, *((b"{}", b"\xff\xfe\x00") if IS_ALL else ())):
        for name in ("CreateMultipartUpload", "CompleteMultipartUpload"):
            for is_done in (False, True):
                world(bin_dir).through([first(1, name, Answer(200, body, is_done=is_done))])
    survives(bin_dir, first(1, "UploadPart", Raw(b"SSH-2.0-OpenSSH_9.2\r\n")),
             first(1, "CompleteMultipartUpload", Raw(b"HTTP/1.1 200 OK\r\nContent-Le")),
             first(1, "PutObject", Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<a")), faults=3)
    fails(bin_dir, ["s3://bucket"], always(None, Answer(200, b"0" * (9 << 20))), SLUICE_STORE_DEADLINE="2s")


def test_something_says_200_to_everything(bin_dir):
    """As a portal of a guest network does: what it was told is not done."""
    for name in ("PutObject", "UploadPart", "CompleteMultipartUpload"):
        survives(bin_dir, first(1, name, Answer(200)))
    # The upload that fails for another reason is still aborted.
    fails(bin_dir, ["s3://bucket"], always("UploadPart", s3_answer(403, "AccessDenied")),
          first(1, "AbortMultipartUpload", Answer(200)))


def test_damaged_etags_and_checksums(bin_dir):
    """Each ends in an export that has failed or in whole objects; both is allowed, a third is not."""
    for edit in (DAMAGED_ETAG, Edit((("ETag", None),)), Edit((("x-amz-checksum-crc32c", "AAAAAA=="),))):
        world(bin_dir).through([first(1, "UploadPart", edit)])
        world(bin_dir).through([first(1, "PutObject", edit)])
    fails(bin_dir, ["s3://bucket/", "Large"], always("UploadPart", DAMAGED_ETAG))


def test_credentials_that_expire_in_mid_upload(bin_dir):
    survives(bin_dir, first(1, "UploadPart", s3_answer(403, "ExpiredToken")))
    proxy = fails(bin_dir, ["s3://bucket", "session token", "expired"],
                  first(1 << 30, "UploadPart", s3_answer(400, "ExpiredToken"), skip=1))
    check(proxy.count("UploadPart") < 20, "asked again and again")


def test_redirects_without_end(bin_dir):
    loop = Answer(307, b"", (("Location", "http://127.0.0.1:1/"),))
    proxy = fails(bin_dir, ["bucket"], always(None, loop))
    check(len(proxy.log) < 20, f"{len(proxy.log)} requests")
    regions = [s3_answer(301, "PermanentRedirect").__class__(
        301, b"", (("x-amz-bucket-region", f"eu-west-{n}"),)) for n in range(3)]
    turn = iter(range(1 << 30))
    proxy = fails(bin_dir, ["bucket", "AWS_REGION"], always(None, lambda _: regions[next(turn) % 3]))
    check(len(proxy.log) < 30, f"{len(proxy.log)} requests")


def test_forbidden_and_missing(bin_dir):
    proxy = fails(bin_dir, ["s3://bucket", "allow"], always(None, s3_answer(403, "AccessDenied")))
    equal(proxy.count("UploadPart") + proxy.count("PutObject"), 0, "writes after a refusal")
    fails(bin_dir, ["s3://bucket", "bucket does not exist"], always(None, s3_answer(404, "NoSuchBucket")))
    fails(bin_dir, ["clock"], always(None, s3_answer(403, "RequestTimeTooSkewed")))
    # Deletes are optional.
    survives(bin_dir, always("DeleteObject", s3_answer(403, "AccessDenied")), faults=0)


def test_no_such_host(bin_dir):
    w, prefix = world(bin_dir), world(bin_dir).place()
    done = w.sluice(f"{w.store.place}/{prefix}", {**w.store.env, "BACKUP_S3_ENDPOINT": "no-such-host.invalid:9",
                                                  "SLUICE_STORE_DEADLINE": "2s"})
    status, text = w.judge(prefix, done)
    equal(status, "FAILED", text)
    check("no-such-host.invalid" in text, text)


def outage(bin_dir, seconds, deadline):
    """The service goes away in the middle of the upload and is back before the deadline."""
    w, prefix = world(bin_dir), world(bin_dir).place()
    with FaultProxy(w.port) as proxy:
        begun = threading.Event()

        def fall(request):
            if request.name == "UploadPart" and not begun.is_set():
                begun.set()
                proxy.is_down = True
                proxy.drop_all()

        def rise():
            begun.wait(60)
            proxy.closing.wait(seconds)
            proxy.is_down = False
        proxy.rules.append(fall)
        thread = threading.Thread(target=rise)
        thread.start()
        done = w.sluice(f"{w.store.place}/{prefix}", w.env_through(proxy, SLUICE_STORE_DEADLINE=deadline))
        thread.join()
    status, text = w.judge(prefix, done)
    equal(status, "SUCCESS", text)
    check(begun.is_set(), "no part was sent")


def test_an_outage(bin_dir):
    outage(bin_dir, 3, "60s")
    if IS_ALL:
        outage(bin_dir, 600, "15m")


def test_cancel_while_everything_hangs(bin_dir):
    w, prefix = world(bin_dir), world(bin_dir).place()
    with FaultProxy(w.port) as proxy:
        reached = threading.Event()

        def hang(request):
            if request.name == "UploadPart":
                reached.set()
                return Hang()
            return None
        proxy.rules.append(hang)
        process = subprocess.Popen(w.command(f"{w.store.place}/{prefix}"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, env=w.env(w.env_through(proxy, SLUICE_STORE_STALL="300s",
                                                                      SLUICE_STORE_DEADLINE="600s")))
        check(reached.wait(30), "no part was sent")
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        check(time.monotonic() - begun < 5, f"a cancel took {time.monotonic() - begun:.1f} s")
    status, text = w.judge(prefix, subprocess.CompletedProcess([], process.returncode, out, err))
    check(status in ("FAILED", "CANCELED"), f"{status} {text}")


def test_interrupt_before_the_store_ever_answered(bin_dir):
    """The export is not there yet, so there is nothing to cancel: what waits for the store ends all the same."""
    w = world(bin_dir)
    for args in ((w.data, "s3://bucket/x"), (w.data, "s3://bucket/x", "--dry-run"), ("s3://bucket/x/backup", w.folder)):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            env = {**w.store.env, "BACKUP_S3_ENDPOINT": f"127.0.0.1:{silent.getsockname()[1]}",
                   "SLUICE_STORE_STALL": "300s", "SLUICE_STORE_DEADLINE": "600s"}
            process = subprocess.Popen([str(w.bin / "sluice"), "export", *map(str, args)], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True, env=w.env(env))
            silent.settimeout(30)
            with silent.accept()[0] as connection:
                connection.recv(1)
                begun = time.monotonic()
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=60)
        check(time.monotonic() - begun < 2, f"{args}: it took {time.monotonic() - begun:.1f} s")
        check(process.returncode == 1 and "canceled" in err, f"{args}: {process.returncode} {err}")


def test_the_next_start_clears_what_a_kill_left(bin_dir):
    w = world(bin_dir)
    with FaultProxy(w.port) as proxy:
        reached = threading.Event()
        # The first part passes, so that an upload is open; the second one never ends.
        proxy.rules += [first(1 << 30, "UploadPart", lambda _: reached.set() or Hang(), skip=1)]
        copy = w.folder / "copy"
        shutil.copytree(w.data, copy)
        env = w.env_through(proxy, SLUICE_STORE_STALL="300s", EXPORT_DEFAULT_PATH="killed")
        node = Node(w.bin, data=copy, **env)
        node.ok("POST", "/v1/export/s3", {"id": "x", "file_format": "parquet"})
        check(reached.wait(30), "no second part")
        node.kill()
        equal(len(w.store.open_uploads()), 1, "uploads that the kill left")
        proxy.rules.clear()
        node.start()
        while not any("ended an export" in line for line in list(node.log)):
            pass  # the start itself does not wait for a store
        told = node.ok("GET", "/v1/export/s3/x")
        equal(told["status"], "FAILED", "an export that a kill ended")
        node.stop()
    equal(w.store.open_uploads(), [], "open uploads after a start")
    for name, data in w.objects("killed").items():
        check(not name.endswith(".parquet") or data == w.want[name], f"{name} is half-made")
    w.clear("killed")
    shutil.rmtree(copy)


def test_cut_tls(bin_dir):
    """What the proxy cannot read it can cut."""
    w, prefix = world(bin_dir), world(bin_dir).place()
    with stores.versitygw(is_tls=True) as store, FaultProxy(store.port, is_http=False) as proxy:
        faults = [CutUp(300), Reset(), CutUp(100000), CutDown(900), CutUp(3 << 20), CutDown(2500)]
        proxy.rules.append(lambda c: faults[c.number - 1] if c.number <= len(faults) else None)
        env = {**w.env_through(proxy), **store.env, "BACKUP_S3_ENDPOINT": f"127.0.0.1:{proxy.port}"}
        refused = w.sluice(f"{store.place}/{prefix}", {**env, "SLUICE_STORE_CA": ""})
        equal(refused.returncode, 1, "an unknown authority")
        check("SLUICE_STORE_CA" in refused.stdout + refused.stderr, refused.stdout + refused.stderr)
        proxy.connections = 0
        done = w.sluice(f"{store.place}/{prefix}", env)
        equal(done.returncode, 0, done.stdout + done.stderr)
        check(len(proxy.faults) >= len(faults), proxy.log)
        found = {p.name: p.read_bytes() for p in (store.folder / "data" / stores.BUCKET / prefix / "x").glob("*.parquet")}
        equal(found == w.want, True, f"objects {sorted(found)}")


# ---- random faults ----

def any_cut_up(request, draw):
    return CutUp(draw.randrange(request.length + 1))


FAULTS = [SLOW_DOWN, INTERNAL, Answer(429), s3_answer(503, "SlowDown", is_done=True), s3_answer(500, "InternalError", is_done=True),
          s3_answer(503, "SlowDown", retry_after=0), Hang(), Reset(), any_cut_up, any_cut_up,
          lambda _, draw: CutDown(draw.randrange(600)), Lost(), Lost(), Delay(0.2), Slow(2000),
          s3_answer(200, "InternalError"), s3_answer(403, "ExpiredToken"), s3_answer(403, "AccessDenied"), DAMAGED_ETAG,
          Edit((("x-amz-checksum-crc32c", "AAAAAA=="),)), Answer(200, BOMB), Answer(200, BOMB, is_done=True),
          Answer(200), Answer(307, b"", (("Location", "/"),)), Raw(b"HTTP/1.1 200 OK\r\nETa"), Raw(b"\0\0\0")]
# Faults that pass: with these alone every export must end in SUCCESS.
PASSING = [f for f in FAULTS if not isinstance(f, Edit) and
           not (isinstance(f, Answer) and f.status in (200, 307, 403))]


def same_path(path):
    """Without the number of the run and the random name of the shard."""
    return re.sub(r"run[0-9]+/|_[A-Za-z0-9]{12}_", "", path)


def chaos(bin_dir, runs, seed, must_survive=True):
    """Exports with random faults; no SUCCESS may be false, and with faults that pass none may fail."""
    w, told = world(bin_dir), {"SUCCESS": 0, "FAILED": 0}
    faults = 0
    for n in range(runs):
        draw = random.Random(f"{seed}/{n}")
        is_passing = draw.random() < 0.5
        rule = Chaos(f"{seed}/{n}", draw.choice([0.02, 0.1, 0.3]), PASSING if is_passing else FAULTS,
                     path_of=same_path)
        try:
            status, text, proxy = w.through([rule], SLUICE_STORE_STALL="300ms", SLUICE_STORE_DEADLINE="60s")
            check(status == "SUCCESS" or not (is_passing and must_survive), f"faults that pass ended it: {text}")
        except Exception as error:
            raise Failed(f"SLUICE_CHAOS_SEED={seed} run {n}: {error}") from error
        told[status] += 1
        faults += len(proxy.faults)
        if (n + 1) % 50 == 0:
            print(f"     {n + 1} exports, {faults} faults, {told}", flush=True)
    print(f"     {runs} exports, {faults} faults, {told}, no false SUCCESS (seed {seed})", flush=True)


def runs_of(usual):
    return int(os.environ.get("SLUICE_CHAOS_RUNS", usual)), os.environ.get("SLUICE_CHAOS_SEED", "1")


def test_random_faults(bin_dir):
    chaos(bin_dir, *runs_of("1000" if IS_ALL else "12"))


def test_azure(bin_dir):
    """The same over Azurite: something says 200 to one write after the other (Azure says 201), then random faults."""
    w = world(bin_dir)
    usual = w.store
    with stores.azurite() as store:
        w.use(store)
        try:
            for skip in range(6):
                survives(bin_dir, first(1, "PutObject", Answer(200), skip=skip))
            chaos(bin_dir, *runs_of("200" if IS_ALL else "6"))
        finally:
            w.use(usual)


def test_gcs(bin_dir):
    """Over the emulator that resumes; it tells a byte that it does not have, so some uploads rightly fail."""
    w = world(bin_dir)
    usual = w.store
    with stores.gcp_emulator() as store:
        w.use(store)
        try:
            survives(bin_dir, faults=0)
            for skip in range(6):
                survives(bin_dir, first(1, "CompleteMultipartUpload", Answer(200), skip=skip))
            chaos(bin_dir, *runs_of("200" if IS_ALL else "6"), must_survive=False)
        finally:
            w.use(usual)


if __name__ == "__main__":
    with STACK:
        run(globals())
