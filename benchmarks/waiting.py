"""What a diagnosis is said to take, beside what it takes: of the demo, of MobileNetV1, and of a healthy network.

    python benchmarks/waiting.py --data FOLDER

Each is run twice as a command, with a cache of its own: at first nothing is kept, then everything. The estimate is the
one that is printed before the run, for a network that is harmed with what its repairs take; the truth is the time from
the start of the process to its end. Exit code 1 where one of them is off by more than 30 % and more than 3 seconds.
FOLDER holds the real weights and images that tests marked `real` use.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from qdiag.writers.json.diagnosis import read_diagnosis

WITHIN, LEAST_S = 0.3, 3.0
_ESTIMATE = re.compile(r"about (\S+ \w+) in all, \S+ \w+ of which are over(?:, and (\S+ \w+) more)?")
_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


def lines(folder: Path) -> dict[str, list[str]]:
    """Words of each command, without the folder of its report."""
    images, small = str(folder / "imagenet_val_600"), str(folder / "cifar10_test2000.npz")
    mobilenet = [str(folder / "mobilenet_v1_0.75_224.safetensors"), "--arch", "zoo:mobilenet_v1?width=0.75"]
    resnet = [str(folder / "resnet20_cifar10.safetensors"), "--arch", f"{folder / 'networks.py'}:resnet20_cifar10"]
    hundred = ["--samples", "100", "--calib-samples", "100"]
    return {
        "demo": ["demo", "--out"],
        "mobilenet100": [
            *("diagnose", *mobilenet, "--data", images, "--preset", "tf", "--crop", "224"),
            *("--scheme", "tf-uint8", *hundred, "-o"),
        ],
        "resnet20": [
            *("diagnose", *resnet, "--data", small, "--preset", "imagenet-stats", "--samples", "500"),
            *("--calib-samples", "100", "--batch-size", "50", "-o"),
        ],
    }


def seconds(words: str) -> float:
    """Of `1.7 min`."""
    count, unit = words.split()
    return float(count) * _UNITS[unit]


def measure(words: list[str], out: Path, cache: Path) -> tuple[float, float, str]:
    """Estimate and truth in seconds, and the last line that was printed."""
    started = time.perf_counter()
    variables = {**os.environ, "QDIAG_CACHE_DIR": str(cache)}
    done = subprocess.run(
        [sys.executable, "-m", "qdiag", *words, str(out)], env=variables, capture_output=True, text=True, check=True
    )
    took = time.perf_counter() - started
    found = _ESTIMATE.search(done.stderr)
    assert found is not None, done.stderr
    expected = seconds(found[1])
    if found[2] and read_diagnosis(out).ranking.harm.verdict != "healthy":
        expected += seconds(found[2])
    return expected, took, done.stderr.splitlines()[-1]


def main() -> int:
    """Prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", nargs="+", default=["demo", "mobilenet100", "resnet20"])
    given = parser.parse_args()
    is_within = True
    for name in given.runs:
        with TemporaryDirectory() as folder:
            for kept in ("nothing", "everything"):
                expected, took, last = measure(lines(given.data)[name], Path(folder) / "out", Path(folder) / "cache")
                print(f"{name}, {kept} kept: estimated {expected:.0f} s, took {took:.0f} s: {expected / took:.2f}")
                print(f"    {last}", flush=True)
                is_within &= abs(expected - took) <= max(WITHIN * took, LEAST_S)
    return 0 if is_within else 1


if __name__ == "__main__":
    sys.exit(main())
