"""Backends of C driven by scripts: tests/contract/backend_tool.c as an object, orders to it, answers as dictionaries; the
contract suite over a store."""

import json
import pathlib
import subprocess

from node import Failed, check, equal, sanitizer_env

SUITE_TESTS = 24  # of backend_contract_test over a store


def program_of(programs, name):
    """One of tests/contract: of the build the programs are in, or of the debug build beside out/bin."""
    own = pathlib.Path(programs, "..", "..", "tests", "contract", name).resolve()
    return own if own.exists() else pathlib.Path(programs, "..", "debug", "tests", "contract", name).resolve()


def run_suite(programs, store, env=None, differs=frozenset()):
    """The contract suite, which leaves nothing open. differs: its tests that the store, not we, cannot pass."""
    program = program_of(programs, "backend_contract_test")
    done = subprocess.run([str(program), f"{store.place}/suite"], env={**sanitizer_env(), **(env or store.env)},
                          capture_output=True, text=True, timeout=300)
    lines = (done.stdout + done.stderr).splitlines()
    failed = {line.rpartition(" ")[2] for line in lines if line.startswith("[  ERROR   ] ") and "---" not in line}
    failed |= {line.rpartition(" ")[2] for line in lines if line.startswith("[  FAILED  ] ") and "test" not in line}
    equal(failed, set(differs), "failing tests of the suite:\n" + done.stderr[-3000:])
    check(any(f"[  PASSED  ] {SUITE_TESTS - len(differs)} test(s)" in line for line in lines), "not all ran", lines[-5:])
    if hasattr(store, "open_uploads"):  # no server of GCS tells them
        equal(store.open_uploads(), [], "uploads left open")


class Tool:
    """env: all settings there are, but those of sanitizers. Use as a context: it ends with the block."""

    def __init__(self, programs, place, **env):
        program = program_of(programs, "backend_tool")
        self.exit_code = 0
        self.process = subprocess.Popen([str(program), place], env={**sanitizer_env(), **{k: str(v) for k, v in env.items()}},
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.stdin.close()
        code, told = self.process.wait(120), self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        if kind is None:
            check(code == self.exit_code, f"backend_tool ended with {code}: {told}")

    def call(self, *fields):
        try:
            self.process.stdin.write("\t".join(str(f) for f in fields) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"backend_tool ended at {fields}: {self.process.stderr.read()}")
        return json.loads(line)

    def ok(self, *fields):
        answer = self.call(*fields)
        equal(answer["rc"], "SL_OK", f"{fields}: {answer['text']}")
        return answer

    def fails(self, rc, *fields, has=()):
        """The sentence of a call that must fail with rc; it must have the given words."""
        answer = self.call(*fields)
        equal(answer["rc"], rc, f"{fields}: {answer['text']}")
        for word in has:
            check(word in answer["text"], f"{fields}: no {word!r} in {answer['text']!r}")
        return answer["text"]

    def dies(self, *fields):
        """Gives an order after which the process ends as if it were killed."""
        self.process.stdin.write("\t".join(str(f) for f in fields) + "\n")
        self.process.stdin.flush()
        self.exit_code = 9
        equal(self.process.wait(60), self.exit_code, f"{fields}: {self.process.stdout.read()}")
