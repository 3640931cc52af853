"""Commands in processes of their own that need not start Python and import everything anew."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

ROOT = Path(__file__).resolve().parents[2]
LIGHT = (
    "import pydantic, rich.console, rich.table, typer, qdiag.cli.app, qdiag.cli.run, qdiag.cli.console, "
    "qdiag.cli.commands.compare, qdiag.cli.commands.gate, qdiag.cli.commands.reports.report, "
    "qdiag.cli.commands.explain, qdiag.cli.commands.lists.schemes, qdiag.writers.report_dir, qdiag.cli.tables.gate, "
    "qdiag.cli.tables.compare, qdiag.compare.diagnoses, qdiag.writers.ci.junit, qdiag.writers.json.diagnosis, "
    "qdiag.writers.markdown.report; qdiag.writers.json.diagnosis._adapter()"
)
"""What commands on stored results import, which is neither torch nor NumPy, and what reads results made ready."""


class Forked:
    """A process that was forked."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._answers: BinaryIO = link.makefile("rb")
        self.number = int(self._answers.readline())

    def exit_code(self) -> int:
        """Once it has ended; until this is called, a process that has ended keeps its number."""
        self._link.sendall(b"?")
        code = int(self._answers.readline())
        self._answers.close()
        self._link.close()
        return code


class Forks:
    """A process that has imported what commands import, and forks.

    Args:
        imports: Python code that imports it.
        variables: of the environment in which it is imported, and which are the default of what is forked.

    Attributes:
        program: words of a shell for `qdiag`.
    """

    def __init__(self, imports: str, variables: Mapping[str, str]) -> None:
        self.variables = dict(variables)
        self._folder = Path(tempfile.mkdtemp(prefix="qdiag-forks-"))
        self._path = str(self._folder / "socket")
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("server.py"), self._path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**variables, "PYTHONPATH": str(ROOT)},
            cwd=self._folder,
            text=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(imports) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "ready\n"
        self.program = f"{sys.executable} -S {Path(__file__).with_name('client.py')} {self._path}"

    def start(
        self, words: Sequence[str | Path], folder: Path, streams: Sequence[int], *, code: str | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Forked:  # fmt: skip
        """`qdiag WORDS`, or the code with the words as its arguments.

        Args:
            streams: descriptors of standard input, output and error.
        """
        request = {
            "words": ["qdiag", *map(str, words)], "code": code, "folder": str(folder), "open": [0, 1, 2],
            "variables": dict(self.variables if variables is None else variables),
        }  # fmt: skip
        text = json.dumps(request).encode()
        link = socket.socket(socket.AF_UNIX)
        link.connect(self._path)
        socket.send_fds(link, [f"{len(text):8}".encode()], list(streams))
        link.sendall(text)
        return Forked(link)

    def run(
        self, words: Sequence[str | Path], folder: Path, *, code: str | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """As `start`; what it printed, when it has ended."""
        with Path(os.devnull).open() as nothing, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            streams = nothing.fileno(), out.fileno(), err.fileno()
            returned = self.start(words, folder, streams, code=code, variables=variables).exit_code()
            printed = []
            for file in (out, err):
                file.seek(0)
                printed.append(file.read().decode())
        return subprocess.CompletedProcess([*map(str, words)], returned, *printed)

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        shutil.rmtree(self._folder)
