"""Cost of runs on a GPU, as ratios to one float pass there in the same process, and how often they wait for it.

    python benchmarks/on_gpu.py                      the default run, MobileNetV2 and ResNet-18 at 224 x 224, 512 images
    python benchmarks/on_gpu.py --data FOLDER        whole diagnoses of MobileNetV1 0.75 too, 100 and 500 images
    python benchmarks/on_gpu.py --where              the lines that wait, and the operations that take the time

A float pass is the user's own eager module under `torch.inference_mode`, with the settings of the passes (no TF32), the
images on their way from memory included. A wait is an operation at which the processor stands still until the GPU has
finished (`torch.cuda.set_sync_debug_mode`): copies of results, and of images from memory that is not pinned.
"""

import argparse
import collections
import statistics
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from diagnose import Run, runs
from run import GOALS, network
from torch import nn

import qdiag
from qdiag.batches import Datasets
from qdiag.cli.process import prepare_process
from qdiag.config import load_preset
from qdiag.loaders.data.sources import open_datasets
from qdiag.loaders.models.formats import load_subject
from qdiag.pipeline.begin import begin
from qdiag.pipeline.diagnose import DiagnoseOptions, diagnose_experiment
from qdiag.simulate.session import open_session
from qdiag.simulate.surroundings import engine_arithmetic

Waits = collections.Counter[str]


@contextmanager
def counted_waits() -> Iterator[Waits]:
    """Counts the operations that wait for the GPU, by the innermost line of this project that asked for them."""
    waits: Waits = collections.Counter()

    def seen(message: object, *_: object, **__: object) -> None:
        if "synchroniz" in str(message):
            own = [frame for frame in traceback.extract_stack() if "/qdiag/" in frame.filename]
            place = own[-1] if own else None
            waits[f"{place.filename.partition('/qdiag/')[2]}:{place.lineno}" if place else "elsewhere"] += 1

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = seen
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield waits
        finally:
            torch.cuda.set_sync_debug_mode("default")


def seconds(work: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - started


def float_pass_s(net: nn.Module, batches: list[torch.Tensor], repeats: int) -> float:
    """The median of a few, over all images; the module is on the processor again afterwards."""
    on_gpu = net.cuda()

    def once() -> None:
        with torch.inference_mode(), engine_arithmetic():
            for batch in batches:
                on_gpu(batch.cuda(non_blocking=True))

    once()
    found = statistics.median(seconds(once) for _ in range(repeats))
    net.cpu()
    return found


def print_where(waits: Waits, work: Callable[[], object]) -> None:
    for place, count in waits.most_common(25):
        print(f"    {count:>7} waits  {place}")
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        work()
        torch.cuda.synchronize()
    print(profile.key_averages().table(sort_by="self_cuda_time_total", row_limit=15, max_name_column_width=60))


def print_default_run(name: str, images: int, batch_size: int, repeats: int, is_asked_where: bool) -> None:
    net, batches = network(name), list(torch.randn(images, 3, 224, 224).split(batch_size))
    float_s = float_pass_s(net, batches, repeats)

    def once() -> qdiag.Measurement:
        return qdiag.measure(net, batches, device="cuda")

    once()
    run_s: list[float] = []
    times: list[dict[str, float]] = []
    for _ in range(repeats):
        started = time.perf_counter()
        result = once()
        run_s.append(time.perf_counter() - started)
        times.append({stage.stage: stage.elapsed_s for stage in result.stages})
        run_s[-1] -= times[-1]["capture"]
    with counted_waits() as waits:
        once()
    parts = {stage: statistics.median(found[stage] for found in times) for stage in times[0]}
    told = ", ".join(f"{stage} {took / float_s:.1f}" for stage, took in parts.items() if stage != "capture")
    in_all = statistics.median(run_s) / float_s
    print(
        f"{name}: a float pass of {images} images takes {float_s:.3f} s; in float passes: {told}; in all {in_all:.1f}"
    )
    print(f"  capture {parts['capture']:.2f} s; {sum(waits.values())} waits, {len(batches)} batches of {batch_size}")
    if is_asked_where:
        print_where(waits, once)


def print_diagnosis(run: Run, folder: Path, is_asked_where: bool) -> None:
    subject = load_subject(str(folder / run.weights), arch=run.arch)
    datasets: Datasets = open_datasets(replace(run.data, batch_size=100))
    assert isinstance(subject.model, nn.Module)
    batches = [batch.args[0] for batch in datasets.evaluation]
    float_s = float_pass_s(subject.model, [batch for batch in batches if isinstance(batch, torch.Tensor)], 3)

    def once() -> None:
        with open_session(device="cuda") as session:
            found = diagnose_experiment(
                session, begin(session, subject, datasets, load_preset(run.scheme)), DiagnoseOptions()
            )
        told = ", ".join(f"{stage.stage} {stage.elapsed_s:.1f}" for stage in found.stages)
        causes = ", ".join(cause.code for cause in found.ranking.causes)
        print(f"  seconds by stage: {told}; {found.ranking.harm.verdict}; {causes}")

    took = seconds(once)
    print(f"{run.name}: a float pass takes {float_s:.3f} s, the diagnosis {took:.1f} s")
    if is_asked_where:
        with counted_waits() as waits:
            once()
        print(f"  {sum(waits.values())} waits")
        print_where(waits, once)


def main() -> int:
    """Prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--networks", nargs="*", default=list(GOALS))
    parser.add_argument("--runs", nargs="*", default=["mobilenet100", "mobilenet500"])
    parser.add_argument("--where", action="store_true")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        print("torch sees no CUDA device here", file=sys.stderr)
        return 2
    prepare_process()
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}")
    for name in given.networks:
        print_default_run(name, given.images, given.batch_size, given.repeats, given.where)
    for run in [run for run in runs(given.data) if run.name in given.runs] if given.data else ():
        print_diagnosis(run, given.data, given.where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
