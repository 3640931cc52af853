"""A command run in a process of its own, for whoever wants its words and its exit code."""

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

import anyio
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.text import TextReceiveStream

SHOWN_CHARACTERS = 60_000
_PATIENCE_S = 10.0

Tell: TypeAlias = Callable[[str], Awaitable[None]]
"""Called with a line of progress."""
_MEANINGS = {
    0: "done",
    1: "a limit is broken, or every repair was refused",
    2: "wrong usage, or an input that cannot be judged",
    130: "interrupted; the same command goes on where it was",
}


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """How a command ended.

    Attributes:
        output: what it printed on stdout. remarks: what it printed on stderr, the last part of it.
    """

    exit_code: int
    output: str
    remarks: str

    @property
    def meaning(self) -> str:
        """What the exit code says."""
        return _MEANINGS.get(self.exit_code, "the process ended by itself")


async def run_command(words: Sequence[str], tell: Tell) -> CommandOutcome:
    """Runs `qdiag WORDS`; when the caller is cancelled, the command is interrupted, and keeps its finished passes.

    Args:
        tell: called with each line of stderr.
    """
    output: deque[str] = deque()
    remarks: deque[str] = deque(maxlen=200)

    async def keep_output(stream: ByteReceiveStream) -> None:
        async for text in TextReceiveStream(stream, errors="replace"):
            output.append(text)

    async def keep_remarks(stream: ByteReceiveStream) -> None:
        async for text in TextReceiveStream(stream, errors="replace"):
            remarks.append(text)
            line = text.strip().rpartition("\n")[2].strip()
            if line:
                await tell(line)

    async with _process(words) as process, anyio.create_task_group() as tasks:
        if process.stdout is not None and process.stderr is not None:
            tasks.start_soon(keep_output, process.stdout)
            tasks.start_soon(keep_remarks, process.stderr)
        code = await process.wait()
    return CommandOutcome(code, bounded("".join(output)), bounded("".join(remarks)))


@asynccontextmanager
async def _process(words: Sequence[str]) -> AsyncIterator[Process]:
    """The process, which does not outlive the block."""
    process = await anyio.open_process(
        [sys.executable, "-m", "qdiag", *words],
        stdin=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": "120", "NO_COLOR": "1"},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with anyio.CancelScope(shield=True):
                await _end(process)
        await process.aclose()


async def _end(process: Process) -> None:
    process.send_signal(signal.SIGINT)
    with anyio.move_on_after(_PATIENCE_S):
        await process.wait()
    if process.returncode is None:
        process.kill()


def bounded(text: str) -> str:
    """The text, its middle left out where it is longer than a conversation bears."""
    if len(text) <= SHOWN_CHARACTERS:
        return text
    half = SHOWN_CHARACTERS // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} characters are left out here]\n{text[-half:]}"
