"""The unit of packaging/ under systemd: installed by the very lines of docs/operations.md, then started, reloaded, killed,
given a bad setting and another folder to write to, and stopped.

Systemd is the first process of namespaces of its own, with this machine's root as its root, all changes to which are
kept in memory and thrown away. Needs root.
"""

import atexit
import contextlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

REPO = pathlib.Path(__file__).parent.parent.parent
sys.path.insert(0, str(REPO / "tests/lib"))
from node import check, equal, run  # noqa: E402

# $1: an empty folder; $2: the checkout, which is seen at /mnt; $3: its programs. pivot_root and not chroot: in a
# chroot nobody makes user namespaces, which PrivateUsers= needs.
BOOT = """set -e
mount -t tmpfs tmpfs $1 && mkdir $1/up $1/work $1/root
root=$1/root
mount -t overlay overlay -o lowerdir=/,upperdir=$1/up,workdir=$1/work $root
mount -t proc proc $root/proc
mount -t sysfs -o ro sysfs $root/sys
mount -t tmpfs tmpfs $root/sys/fs/cgroup && mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
for folder in run tmp dev mnt; do mount -t tmpfs tmpfs $root/$folder; done
for name in null zero full random urandom tty; do
    touch $root/dev/$name && mount --bind /dev/$name $root/dev/$name
done
mkdir $root/dev/pts $root/dev/shm $root/mnt/out $root/mnt/out/bin $root/old
mount -t devpts devpts -o newinstance,ptmxmode=0666 $root/dev/pts && ln -s pts/ptmx $root/dev/ptmx
mount -t tmpfs tmpfs $root/dev/shm
for folder in docs packaging; do mkdir $root/mnt/$folder && mount --bind $2/$folder $root/mnt/$folder; done
mount --bind $3 $root/mnt/out/bin
cd $root && pivot_root . old
exec chroot . /bin/bash -c 'umount -l /old; rmdir /old; container=test exec /lib/systemd/systemd --unit=basic.target'
"""
SETTINGS = "/etc/sluice/sluiced.env"


class Machine:
    def __init__(self, folder, bin_dir):
        spaces = [f"--{name}" for name in ("fork", "pid", "mount", "cgroup", "ipc", "uts", "net", "kill-child")]
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen(["unshare", *spaces, "--propagation", "private", "bash", "-c", BOOT, "boot", folder,
                                         REPO, bin_dir])
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.wait_for(lambda: children.read_text().strip(), "the first process")
        self.pid = children.read_text().strip()
        self.wait_for(lambda: self.run("systemctl is-system-running", code=None).strip() == "running", "systemd")

    def run(self, text, code=0):
        """What a shell in there prints; code None: whatever it ends with."""
        done = subprocess.run(["nsenter", "-t", self.pid, "-a", "-r", "bash", "-ec", f"cd /mnt; {text}"], timeout=120,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        check(code is None or done.returncode == code, f"{text}: {done.returncode}: {done.stdout}")
        return done.stdout

    def wait_for(self, condition, what, seconds=60):
        begun = time.monotonic()
        while not condition():
            check(self.process.poll() is None, f"{what}: the machine has ended")
            check(time.monotonic() - begun < seconds, f"{what}: not within {seconds} s")
            time.sleep(0.05)

    def unit(self, *names):
        told = dict(line.split("=", 1) for line in self.run(f"systemctl show sluiced -p {','.join(names)}").splitlines())
        return [told[name] for name in names]

    def call(self, path):
        return json.loads(self.run(f"curl -s localhost:8080/v1/{path}"))

    def stop(self):
        self.process.kill()
        self.process.wait()


MACHINE, STACK = [], contextlib.ExitStack()


def machine(bin_dir):
    """One for all tests, with the unit running."""
    if not MACHINE:
        atexit.register(STACK.close)
        folder = STACK.enter_context(tempfile.TemporaryDirectory(prefix="sluice-systemd-"))
        MACHINE.append(Machine(folder, pathlib.Path(bin_dir).resolve()))
        STACK.callback(MACHINE[0].stop)
        lines = re.search(r"```\n(install .*?)```", (REPO / "docs/operations.md").read_text(), re.DOTALL).group(1)
        MACHINE[0].run(lines)
        MACHINE[0].run(f"echo EXPORT_ENABLED=true >>{SETTINGS}; systemctl restart sluiced")
    return MACHINE[0]


def test_it_serves_reloads_and_comes_back_from_a_kill(bin_dir):
    m = machine(bin_dir)
    equal(m.unit("ActiveState", "User"), ["active", "sluice"])
    m.run("""curl -sf localhost:8080/v1/schema -H 'Content-Type: application/json' -d '{"class":"A"}'""")
    m.run("""seq 1 200 | sed 's/.*/{"properties":{"n":&}}/' | sluice load - -c A""")
    m.run("sluice create one --wait")
    equal(m.run("stat -c '%U %a' /var/lib/sluice /var/lib/sluice/exports/one/_SUCCESS").split(), ["sluice", "750", "sluice", "640"])
    before = m.unit("MainPID")
    m.run("systemctl reload sluiced")
    equal(m.unit("MainPID", "ActiveState", "NRestarts"), [*before, "active", "0"])
    m.run(f"kill -9 {before[0]}")
    m.wait_for(lambda: m.unit("ActiveState", "NRestarts") == ["active", "1"], "the restart")
    equal(m.call("export/filesystem/one")["objectsExported"], 200)


def test_a_folder_elsewhere_needs_a_line(bin_dir):
    m = machine(bin_dir)
    m.run(f"install -d -o sluice /srv/out; echo EXPORT_DEFAULT_PATH=/srv/out >>{SETTINGS}; systemctl restart sluiced")
    check("/srv/out cannot be written" in m.run("sluice create two --wait", code=1), "it is told")
    m.run("mkdir -p /etc/systemd/system/sluiced.service.d")
    m.run(r"printf '[Service]\nReadWritePaths=/srv/out\n' >/etc/systemd/system/sluiced.service.d/own.conf")
    m.run("systemctl daemon-reload; systemctl restart sluiced; sluice create two --wait; sluice verify /srv/out/two")


def test_a_bad_setting_is_told_and_not_tried_again(bin_dir):
    m = machine(bin_dir)
    m.run(f"systemctl stop sluiced; echo SLUICE_PORT=abc >>{SETTINGS}")
    m.run("systemctl start sluiced", code=1)
    equal(m.unit("ActiveState", "SubState", "ExecMainStatus", "NRestarts"), ["failed", "failed", "2", "0"])
    check('SLUICE_PORT: "abc"' in m.run("journalctl -u sluiced -n 5 --no-pager -o cat"), "the line in the journal")
    m.run(f"sed -i /abc/d {SETTINGS}; systemctl start sluiced")
    equal(m.unit("ActiveState"), ["active"])


def test_a_stop_is_clean(bin_dir):
    m = machine(bin_dir)
    m.run("systemctl stop sluiced")
    equal(m.unit("ActiveState", "Result", "ExecMainStatus"), ["inactive", "success", "0"])


if __name__ == "__main__":
    run(globals())
