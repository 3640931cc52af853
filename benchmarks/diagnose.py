"""Cost of whole diagnoses, in float passes over the measured images, stage by stage.

    python benchmarks/diagnose.py --data FOLDER            MobileNetV1 0.75 (100 images), and a healthy ResNet-20 (500)
    python benchmarks/diagnose.py --data FOLDER --passes   each kind of pass by itself

One float pass is that of the user's own eager module under `torch.inference_mode` over the same images, in the same
process, with the same threads and the same settings of memory. Both are given as processor time, which other processes
disturb less than the wall. FOLDER holds the real weights and images that tests marked `real` use.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from qdiag.batches import Batches, Datasets
from qdiag.cli.process import prepare_process
from qdiag.config import load_preset
from qdiag.core.diagnosis import Diagnosis
from qdiag.loaders.data.sources import DataRequest, open_datasets
from qdiag.loaders.images.preprocessing import preset
from qdiag.loaders.models.formats import load_subject
from qdiag.pipeline.begin import begin
from qdiag.pipeline.diagnose import DiagnoseOptions, diagnose_experiment
from qdiag.pipeline.estimate import estimate
from qdiag.simulate.session import open_session
from qdiag.subject import Subject


@dataclass(frozen=True)
class Run:
    """A network, its images, and the bar for the whole diagnosis in float passes."""

    name: str
    weights: str
    arch: str
    data: DataRequest
    scheme: str
    bar: float


def runs(folder: Path) -> list[Run]:
    images, networks = str(folder / "imagenet_val_600"), folder / "networks.py"
    photos = DataRequest(data=images, preprocessing=preset("tf").override(crop=224), batch_size=16)
    small = DataRequest(
        data=str(folder / "cifar10_test2000.npz"),
        preprocessing=preset("imagenet-stats"),
        samples=500,
        calib_samples=100,
        batch_size=50,
    )
    mobilenet = "mobilenet_v1_0.75_224.safetensors", "zoo:mobilenet_v1?width=0.75"
    return [
        Run("mobilenet100", *mobilenet, _with(photos, 100), "tf-uint8", 40.0),
        Run("mobilenet500", *mobilenet, _with(photos, 500), "tf-uint8", 25.0),
        Run("resnet20", "resnet20_cifar10.safetensors", f"{networks}:resnet20_cifar10", small, "int8", 12.0),
    ]


def _with(request: DataRequest, samples: int) -> DataRequest:
    from dataclasses import replace

    return replace(request, samples=samples, calib_samples=100)


@dataclass
class Counted:
    """Progress that counts: samples and processor seconds of each kind of pass."""

    samples: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    passes: dict[str, int] = field(default_factory=dict)
    _stage: str = ""
    _started: float = 0.0

    def start(self, stage: str, total: int | None) -> None:
        self._stage, self._started = stage.rstrip("/0123456789 "), time.process_time()
        self.passes[self._stage] = self.passes.get(self._stage, 0) + 1
        del total

    def advance(self, steps: int = 1) -> None:
        self.samples[self._stage] = self.samples.get(self._stage, 0) + steps

    def finish(self) -> None:
        if self._stage:
            spent = time.process_time() - self._started
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + spent
        self._stage = ""


def processor_s(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def float_pass_s(net: nn.Module, batches: Batches, repeats: int = 3) -> float:
    """The least of a few, over all images."""
    given = [batch.args[0] for batch in batches]

    def once() -> None:
        with torch.inference_mode():
            for images in given:
                net(images)

    return min(processor_s(once) for _ in range(repeats))


def measured(run: Run, folder: Path, options: DiagnoseOptions) -> tuple[Diagnosis, Counted, float, float, str]:
    """A diagnosis, what it counted, processor seconds of it and of a float pass, and the estimate beside the clock."""
    subject: Subject = load_subject(str(folder / run.weights), arch=run.arch)
    datasets: Datasets = open_datasets(run.data)
    assert isinstance(subject.model, nn.Module)
    passes = [float_pass_s(subject.model, datasets.evaluation)]
    counted = Counted()
    started = time.process_time()
    with open_session(progress=counted) as session:
        experiment = begin(session, subject, datasets, load_preset(run.scheme))
        expected, clock = estimate(session, experiment.case, options), time.perf_counter()
        found = diagnose_experiment(session, experiment, options)
        took = time.perf_counter() - clock
    spent = time.process_time() - started
    told = expected.healthy_s if found.ranking.harm.verdict == "healthy" else expected.harmed_s
    words = f"estimated {told:.0f} s, took {took:.0f} s by the clock: {told / took:.2f}"
    passes.append(float_pass_s(subject.model, datasets.evaluation))
    return found, counted, spent, min(passes), words


def main() -> int:
    """Prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", nargs="+", default=["mobilenet100", "resnet20"])
    parser.add_argument("--passes", action="store_true")
    given = parser.parse_args()
    prepare_process()
    is_within = True
    for run in [run for run in runs(given.data) if run.name in given.runs]:
        found, counted, spent, float_s, words = measured(run, given.data, DiagnoseOptions())
        ratio, ranking = spent / float_s, found.ranking
        print(
            f"{run.name}: a float pass takes {float_s:.2f} s, the diagnosis {ratio:.1f} of them (at most {run.bar:g})"
        )
        print("  by the clock: " + ", ".join(f"{x.stage} {x.elapsed_s / float_s:.1f}" for x in found.stages))
        print(f"  {words}")
        print(f"  {ranking.variant_count} networks in {ranking.pass_count} passes")
        for kind in sorted(counted.seconds, key=lambda kind: -counted.seconds[kind]) if given.passes else ():
            share = counted.seconds[kind] / float_s
            print(
                f"    {kind:<32}{counted.passes[kind]:>4} times{counted.samples.get(kind, 0):>8} samples{share:>8.1f}"
            )
        is_within &= ratio <= run.bar
    return 0 if is_within else 1


if __name__ == "__main__":
    sys.exit(main())
