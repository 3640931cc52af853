"""Feeds mutated files to every reader of qdiag, and reports foreign exceptions, crashes, hangs and written files.

    python -m tools.fuzz_readers --seconds 600                  # every reader for ten minutes
    python -m tools.fuzz_readers --reader pt2 --seconds 60 --keep findings
    python -m tools.fuzz_readers --list                         # the readers, and what each of them imports

Files are read in a child process with limits on time and memory, many to a child. An error of qdiag's own family is the
right answer to a damaged file; everything else is a finding: foreign exceptions, crashes, hangs, files that were
written, and good files that are refused. The last line of each reader sums up, and the exit code is 1 where there was a
finding. A reader whose libraries are not installed is skipped, which its line says.
"""

import argparse
import contextlib
import faulthandler
import importlib.util
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from tools.fuzzing.mutations import mutated
from tools.fuzzing.readers import READERS, Reader

HANG_SECONDS = 60.0
MEMORY_BYTES = 6 << 30
CASES_PER_CHILD = 2000
SLOW_SECONDS = 2.0
"""The slowest input is kept where it took longer."""

KINDS = ("foreign exceptions", "crashes", "hangs", "written files", "good files refused")


@dataclass
class Report:
    """What one reader did. Findings count by what and where they are; `examples` names one input of each."""

    reader: str
    runs: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    slowest_s: float = 0.0
    missing: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        if self.missing:
            return f"SUMMARY {self.reader}: skipped, not installed: {', '.join(self.missing)}"
        kinds = ", ".join(f"{self.kinds[kind]} {kind}" for kind in KINDS)
        return (
            f"SUMMARY {self.reader}: {self.runs} cases in {self.seconds:.0f} s, {kinds}, slowest {self.slowest_s:.2f} s"
        )


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0, help="for each reader")
    parser.add_argument("--reader", action="append", choices=sorted(READERS), help="this one; several times for more")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for one input of every finding, and for the slowest")
    parser.add_argument("--json", type=Path, help="file for the reports")
    parser.add_argument("--list", action="store_true", help="the readers and their libraries, and nothing else")
    options = parser.parse_args()
    if options.list:
        for name, reader in READERS.items():
            libraries = ("torch", "numpy", "safetensors", "Pillow", *reader.needs)
            print(f"{name}: {', '.join(libraries)}")
        return 0
    reports = []
    for name in options.reader or READERS:
        report = fuzz(name, options.seconds, options.seed, options.keep)
        reports.append(report)
        for what, count in sorted(report.outcomes.items()):
            print(f"{name}: {count} {what}")
        for what, count in report.findings.most_common():
            print(f"{name}: FINDING {count} x {what}  [{report.examples[what]}]")
        print(report, flush=True)
        if options.json:
            options.json.write_text(json.dumps([vars(one) for one in reports], indent=1) + "\n")
    return 1 if any(report.findings for report in reports) else 0


def fuzz(name: str, seconds: float, seed: int, keep: Path | None, cases: int | None = None) -> Report:
    """One reader for so many seconds or cases, whichever end first, after its good files were read."""
    report, reader = Report(name), READERS[name]
    report.missing = [library for library in reader.needs if importlib.util.find_spec(library) is None]
    if report.missing:
        return report
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seeds = reader.seeds()
    start = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        while time.monotonic() - start < seconds and (cases is None or report.runs < cases):
            left = CASES_PER_CHILD if cases is None else min(CASES_PER_CHILD, cases - report.runs)
            _one_child(name, seeds, seed + report.runs, start + seconds, left, folder, report, keep)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report.seconds = time.monotonic() - start
    return report


def _one_child(
    name: str, seeds: list[bytes], seed: int, end: float, cases: int, folder: Path, report: Report, keep: Path | None
) -> None:
    """A child that reads until it crashes, hangs, has read enough, or the time is over."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    unchanged = seeds if report.runs == 0 else []
    child = context.Process(target=_child, args=(READERS[name], unchanged, seeds, seed, end, cases, folder, theirs))
    child.start()
    theirs.close()
    last: str | None = None
    place = folder / READERS[name].place
    try:
        while ours.poll(HANG_SECONDS):
            kind, what = ours.recv()
            if kind == "begin":
                last = what
                report.runs += 1
            elif kind == "done":
                report.outcomes[what] += 1
                last = None
            elif kind == "slow":
                seconds, data = what
                report.slowest_s = max(report.slowest_s, seconds)
                if seconds > SLOW_SECONDS:
                    _kept(report, "slowest", data, place, keep)
            elif kind == "end":
                break
            else:
                _note(report, kind, *what, place, keep)
        else:
            _note(report, "hangs", f"no answer within {HANG_SECONDS:g} s", place.read_bytes(), place, keep)
    except EOFError:
        child.join()
        if last is not None:
            _note(report, "crashes", f"the process ended with {child.exitcode}", place.read_bytes(), place, keep)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid or 0, signal.SIGKILL)  # with the processes in which it reads, which may hang too
    child.kill()
    child.join()


def _note(report: Report, kind: str, what: str, data: bytes, path: Path, keep: Path | None) -> None:
    report.findings[what] += 1
    report.kinds[kind] += 1
    if what not in report.examples:
        report.examples[what] = _kept(report, str(len(report.examples)), data, path, keep)


def _kept(report: Report, label: str, data: bytes, path: Path, keep: Path | None) -> str:
    """Where the input lies."""
    if keep is None:
        return "not kept"
    keep.mkdir(parents=True, exist_ok=True)
    kept = keep / f"{report.reader.replace(' ', '_')}-{label}-{path.name}"
    kept.write_bytes(data)
    return str(kept)


def _child(
    reader: Reader,
    unchanged: list[bytes],
    seeds: list[bytes],
    seed: int,
    end: float,
    cases: int,
    folder: Path,
    pipe: Connection,
) -> None:
    os.setpgid(0, 0)
    faulthandler.disable()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    path = folder / reader.place
    path.parent.mkdir(parents=True, exist_ok=True)
    work = folder / "work"  # code in a file that writes does it here
    work.mkdir(exist_ok=True)
    os.chdir(work)
    rng = random.Random(seed)
    slowest = 0.0
    for number in range(-len(unchanged), cases - len(unchanged)):
        if number >= 0 and time.monotonic() > end:
            break
        data = unchanged[number] if number < 0 else mutated(seeds, rng, reader.is_text)
        path.write_bytes(data)
        pipe.send(("begin", str(number)))
        started = time.monotonic()
        kind, what = _outcome(reader, path)
        taken = time.monotonic() - started
        as_it_should = "asked for trust" if data[:2] == b"\x80\x04" else "read"  # of a bare pickle
        if number < 0 and kind == "done" and what != as_it_should:
            kind, what = "good files refused", f"a good file is {what}"
        pipe.send((kind, what if kind == "done" else (what, data)))
        if taken > slowest:
            slowest = taken
            pipe.send(("slow", (taken, data)))
        for written in work.iterdir():
            pipe.send(("written files", (f"a file was written: {written.name}", data)))
            written.unlink()
    pipe.send(("end", ""))
    os._exit(0)


def _outcome(reader: Reader, path: Path) -> tuple[str, str]:
    from qdiag.errors import QdiagError, UntrustedError

    try:
        reader.read(path)
    except UntrustedError:
        return "done", "asked for trust"
    except QdiagError as error:
        if "crashed" in error.message or "did not end" in error.message or "of memory" in error.message:
            return "done", f"stopped in the child ({error.message.partition(':')[0][:60]})"
        return "done", "refused"
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        last = next((frame for frame in reversed(frames) if "/qdiag/" in frame.filename), frames[-1])
        place = f"{Path(last.filename).name}:{last.lineno}"
        return (
            "foreign exceptions",
            f"{type(error).__name__} at {place}: {str(error).splitlines()[0][:80] if str(error) else ''}",
        )
    return "done", "read"


if __name__ == "__main__":
    sys.exit(main())
