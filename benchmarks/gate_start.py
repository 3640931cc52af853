"""How long `qdiag gate` takes on a stored diagnosis, from the start of the process to its end.

    python benchmarks/gate_start.py [RUNS]

Prints the best of several runs, for a network of 30 layers and one of 300: wall time, and processor time, which other
processes disturb less.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from qdiag.core.diagnosis import Diagnosis  # noqa: E402
from qdiag.writers.json.diagnosis import diagnosis_to_json  # noqa: E402
from tests.diagnoses import healthy_diagnosis, long_diagnosis  # noqa: E402

RUNS = 15


def measure(diagnosis: Diagnosis, runs: int) -> tuple[list[float], list[float]]:
    """Wall times and processor times in seconds."""
    wall, processor = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "diagnosis.json"
        path.write_text(diagnosis_to_json(diagnosis), encoding="utf-8")
        command = [sys.executable, "-m", "qdiag", "gate", str(path), "--max-drop", "50"]
        for _ in range(runs):
            started, before = time.perf_counter(), _processor_s()
            subprocess.run(command, cwd=ROOT, env={**os.environ}, capture_output=True, check=True)
            wall.append(time.perf_counter() - started)
            processor.append(_processor_s() - before)
    return wall, processor


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    for diagnosis in (healthy_diagnosis(), long_diagnosis(300)):
        wall, processor = measure(diagnosis, runs)
        layers = len(diagnosis.measurement.records)
        print(f"{layers:4} layers: {min(wall):.2f} s, {min(processor):.2f} s of the processor, best of {runs} runs")


if __name__ == "__main__":
    main()
