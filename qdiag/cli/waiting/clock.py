"""When the run began: with the process, where the system tells when that was."""

import os
import time
from pathlib import Path

_started_s: float | None = None


def start_clock(*, with_process: bool = False) -> None:
    """The run begins now, or began with the process."""
    global _started_s
    _started_s = time.perf_counter() - (_process_age_s() if with_process else 0.0)


def run_started_s() -> float:
    """Reading of `time.perf_counter` when the run began."""
    return time.perf_counter() if _started_s is None else _started_s


def _process_age_s() -> float:
    """Seconds since the process was started, to a hundredth of a second; 0 where the system has no /proc (proc(5))."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        uptime_s = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
        return max(uptime_s - int(fields[19]) / os.sysconf("SC_CLK_TCK"), 0.0)
    except (OSError, ValueError, IndexError):
        return 0.0
