"""Ceph's own S3 server, radosgw, on a cluster of one monitor and one store in memory: an S3 as many run it on their
own machines, by other people than those of the other servers. Debian's packages; started in some ten seconds.

    with ceph.radosgw() as store: as in stores.py
"""

import contextlib
import os
import subprocess
import uuid

from stores import BUCKET, KEY, READY_S, S3, SECRET, Broken, Server, free_ports, temp_folder

# One copy of everything, since there is one store; no manager, which only reports. Nothing listens beyond this
# machine: a store without a cluster address would. Its own ports it takes from a range, passing over those in use.
CONFIG = """[global]
fsid = {fsid}
mon host = [v1:127.0.0.1:{mon}]
ms bind msgr2 = false
public addr = 127.0.0.1
cluster addr = 127.0.0.1
osd pool default size = 1
osd pool default min size = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
keyring = {folder}/keyring
run dir = {folder}
admin socket = {folder}/$name.$pid.asok
log to file = false
log to stderr = true
mon cluster log to file = false
crash dir = {folder}
mon data = {folder}/mon/data
osd data = {folder}/osd/data
osd objectstore = memstore
memstore device bytes = 2147483648
[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:{rgw}
rgw data = {folder}/rgw/data
"""
# name: what it may do, by the daemon that is asked
KEYS = {"mon.": {"mon": "allow *"}, "client.admin": {"mon": "allow *", "osd": "allow *"},
        "osd.0": {"mon": "allow profile osd", "osd": "allow *"},
        "client.rgw.a": {"mon": "allow rw", "osd": "allow rwx"}}


class Cluster:
    def __init__(self, folder):
        self.folder, self.env = folder, {"CEPH_CONF": str(folder / "ceph.conf")}
        self.servers, self.names = [], {"mon": "a", "osd": "0", "rgw": "client.rgw.a"}
        for name in self.names:
            (folder / name / "data").mkdir(parents=True)
        self.fsid, (self.mon, self.port) = str(uuid.uuid4()), free_ports(2)
        (folder / "ceph.conf").write_text(CONFIG.format(fsid=self.fsid, folder=folder, mon=self.mon, rgw=self.port))

    def run(self, *command):
        """A program that ends. Those that ask a daemon wait for it."""
        done = subprocess.run(command, cwd=self.folder, env={**os.environ, **self.env}, capture_output=True, text=True,
                              timeout=2 * READY_S)
        if done.returncode != 0:
            raise Broken(f"{command}: {done.stderr[-2000:]}")

    def start(self, name, program, url=None):
        self.servers.append(Server(self.folder / name, [program, "-n" if name == "rgw" else "-i", self.names[name], "-f"],
                                   url, self.env))

    def up(self):
        (self.folder / "keyring").touch()
        for name, caps in KEYS.items():
            words = [word for asked, what in caps.items() for word in ("--cap", asked, what)]
            self.run("ceph-authtool", "keyring", "--gen-key", "-n", name, *words)
        self.run("monmaptool", "--create", "--fsid", self.fsid, "--addv", "a", f"[v1:127.0.0.1:{self.mon}]", "monmap")
        self.run("ceph-mon", "-i", "a", "--mkfs", "--monmap", "monmap", "--keyring", "keyring")
        self.start("mon", "ceph-mon")
        self.run("ceph", "--connect-timeout", str(READY_S), "auth", "import", "-i", "keyring")
        osd = str(uuid.uuid4())
        self.run("ceph", "osd", "new", osd, "0")
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self.start("osd", "ceph-osd")
        self.start("rgw", "radosgw", f"http://127.0.0.1:{self.port}/")
        self.run("radosgw-admin", "user", "create", "--uid=test", "--display-name=test", f"--access-key={KEY}",
                 f"--secret-key={SECRET}")

    def down(self):
        for server in reversed(self.servers):
            server.stop()


@contextlib.contextmanager
def radosgw():
    with temp_folder() as folder:
        cluster = Cluster(folder)
        try:
            cluster.up()
            store = S3(cluster.port, folder)
            store.client().create_bucket(Bucket=BUCKET)
            yield store
        finally:
            cluster.down()
