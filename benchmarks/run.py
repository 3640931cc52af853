"""Cost of the default run, as ratios to one float forward pass of the user's own eager module.

    python benchmarks/run.py                 MobileNetV2 and ResNet-18 at 224 x 224, 64 images, batch 16
    python benchmarks/run.py --memory        peak memory at 64 and 512 images
    python benchmarks/run.py --keep-malloc   without the CLI's memory settings, for both sides

The baseline runs in the same process, on the same images, batch size and threads, under `torch.inference_mode`. The
default run is calibration over all images, and the paired pass with local and propagated figures of every layer over as
many as these need, the outputs alone over the others; capture is timed apart, because it does not grow with the images.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

import qdiag
from qdiag.cli.process import prepare_process
from qdiag.zoo import ZOO

GOALS = {"mobilenet_v2": 4.0, "resnet18": 3.5}
"""Float passes that a run may take, by network."""


@dataclass(frozen=True)
class Cost:
    """Seconds of each stage for one network; medians over the repeats."""

    float_pass_s: float
    run_s: float
    """The whole call without capture: reading and hashing the images included."""
    stages_s: dict[str, float]

    @property
    def ratio(self) -> float:
        return self.run_s / self.float_pass_s


def network(name: str) -> nn.Module:
    """A network with BatchNorm statistics that fit its random weights."""
    torch.manual_seed(0)
    net = ZOO[name]().train()
    with torch.no_grad():
        for _ in range(4):
            net(torch.randn(8, 3, 224, 224))
    return net.eval()


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def cost(name: str, images: int, batch_size: int, repeats: int) -> Cost:
    net = network(name)
    batches = list(torch.randn(images, 3, 224, 224).split(batch_size))

    def float_pass() -> None:
        with torch.inference_mode():
            for batch in batches:
                net(batch)

    float_pass()
    qdiag.measure(net, batches[:1])
    float_times: list[float] = []
    run_times: list[float] = []
    stages: dict[str, list[float]] = {}
    for _ in range(repeats):
        # in turn, so that both sides see the same machine
        float_times.append(seconds(float_pass))
        started = time.perf_counter()
        result = qdiag.measure(net, batches)
        elapsed = time.perf_counter() - started
        for stage in result.stages:
            stages.setdefault(stage.stage, []).append(stage.elapsed_s)
        run_times.append(elapsed - stages["capture"][-1])
        float_times.append(seconds(float_pass))
    medians = {name: statistics.median(times) for name, times in stages.items()}
    return Cost(statistics.median(float_times), statistics.median(run_times), medians)


def print_costs(networks: list[str], images: int, batch_size: int, repeats: int) -> bool:
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {images} images, batch {batch_size}")
    print(
        f"{'network':<14}{'float pass':>12}  " + "  ".join(f"{s:>10}" for s in ("calibrate", "plan", "simulate")),
        end="",
    )
    print(f"{'in all':>10}   (in float passes; capture apart)")
    within = True
    for name in networks:
        c, goal = cost(name, images, batch_size, repeats), GOALS.get(name)
        told = f"{f'at most {goal:g}' if goal is not None else 'no bar'}, capture {c.stages_s['capture']:.1f} s"
        parts = "  ".join(f"{c.stages_s[s] / c.float_pass_s:>10.2f}" for s in ("calibrate", "plan", "simulate"))
        print(f"{name:<14}{c.float_pass_s:>10.2f} s  {parts}{c.ratio:>10.2f}   {told}")
        within &= goal is None or c.ratio <= goal
    return within


PEAK = """
import json, resource, sys, torch, qdiag
sys.path.insert(0, "benchmarks")
from run import network
from qdiag.batches import Batch
from qdiag.cli.process import prepare_process
prepare_process()
count, batch_size = int(sys.argv[2]), int(sys.argv[3])

class Drawn:
    '''Images that are made when they are asked for, as from a folder.'''
    def __iter__(self):
        for first in range(0, count, batch_size):
            torch.manual_seed(first)
            yield torch.randn(min(batch_size, count - first), 3, 224, 224)

qdiag.measure(network(sys.argv[1]), Drawn())
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
"""


def print_memory(networks: list[str], batch_size: int) -> bool:
    """Peak memory of a whole process, at 64 and at 512 images."""
    print(f"{'network':<14}{'64 images':>12}{'512 images':>12}{'growth':>10}   (peak of the whole process)")
    flat = True
    for name in networks:
        peaks = []
        for count in (64, 512):
            command = [sys.executable, "-c", PEAK, name, str(count), str(batch_size)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            peaks.append(json.loads(done.stdout.splitlines()[-1]))
        growth = peaks[1] / peaks[0] - 1.0
        print(f"{name:<14}{peaks[0] / 1e6:>9.0f} MB{peaks[1] / 1e6:>9.0f} MB{100 * growth:>9.1f} %")
        flat &= growth < 0.05
    return flat


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--networks", nargs="+", default=list(GOALS), choices=sorted(ZOO))
    parser.add_argument("--memory", action="store_true", help="peak memory instead of time")
    parser.add_argument("--keep-malloc", action="store_true", help="leave the process as Python starts it")
    options = parser.parse_args()
    if options.memory:
        return 0 if print_memory(options.networks, options.batch_size) else 1
    if not options.keep_malloc:
        prepare_process()
    return 0 if print_costs(options.networks, options.images, options.batch_size, options.repeats) else 1


if __name__ == "__main__":
    sys.exit(main())
