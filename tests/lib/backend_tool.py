"""tests/contract/backend_tool.c as an object: orders to a backend, answers as dictionaries."""

import json
import pathlib
import subprocess

from node import Failed, check, equal


def program_of(programs, name):
    """One of tests/contract: of the build the programs are in, or of the debug build beside out/bin."""
    own = pathlib.Path(programs, "..", "..", "tests", "contract", name).resolve()
    return own if own.exists() else pathlib.Path(programs, "..", "debug", "tests", "contract", name).resolve()


class Tool:
    """env: all settings there are. Use as a context: it ends with the block."""

    def __init__(self, programs, place, **env):
        program = program_of(programs, "backend_tool")
        self.exit_code = 0
        self.process = subprocess.Popen([str(program), place], env={k: str(v) for k, v in env.items()},
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
