"""Cost of ranking causes, and of the sensitivity sweep, against measuring each network by itself.

    python benchmarks/rank.py            the network that comes with the package, scheme tf-uint8
    python benchmarks/rank.py --large    MobileNetV1 at 224 x 224, random images (no accuracy, the same arithmetic)

One separate measurement is what a user without this does for each repair: calibrate, run the float and the quantized
network over all images. All times come from one process on the same images.
"""

import argparse
import sys
import time
from pathlib import Path

import torch
from torch import nn

from qdiag.batches import Datasets
from qdiag.cli.process import prepare_process
from qdiag.config import load_preset
from qdiag.loaders.data.sources import DataRequest, batches_from, open_datasets
from qdiag.loaders.images.preprocessing import preset
from qdiag.loaders.models.formats import load_subject
from qdiag.pipeline.begin import begin
from qdiag.pipeline.diagnose import DiagnoseOptions, diagnose_experiment
from qdiag.pipeline.sensitivity import SensitivityOptions, measure_sensitivity
from qdiag.pipeline.sqnr import measure_experiment
from qdiag.simulate.session import open_session
from qdiag.subject import Subject
from qdiag.zoo import ZOO

_ASSETS = Path(__file__).resolve().parents[1] / "qdiag" / "demo_assets"


def small() -> tuple[Subject, Datasets]:
    """The network of `qdiag demo`, with its labelled images."""
    subject = load_subject(str(_ASSETS / "digits_mobilenet.safetensors"), arch="zoo:mobilenet_v1_small?width=0.25")
    return subject, open_datasets(DataRequest(data=str(_ASSETS / "digits.npz"), preprocessing=preset("tf")))


def large(images: int) -> tuple[Subject, Datasets]:
    """A MobileNetV1 with BatchNorm statistics that fit its random weights, and one dead channel in its first block."""
    torch.manual_seed(0)
    net = ZOO["mobilenet_v1"]().train()
    with torch.no_grad():
        for _ in range(3):
            net(torch.randn(8, 3, 224, 224))
        norm = next(m for name, m in net.named_modules() if isinstance(m, nn.BatchNorm2d) and "blocks.0" in name)
        assert norm.running_var is not None
        norm.running_var[0] = 1e-30
    data = batches_from(torch.randn(images, 3, 224, 224), batch_size=16)
    return Subject(net.eval(), "module", "mobilenet_v1", "MobileNetV1"), Datasets(data, data, "the same images")


def main() -> int:
    """Prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--images", type=int, default=64)
    options = parser.parse_args()
    prepare_process()
    subject, datasets = large(options.images) if options.large else small()
    scheme = load_preset("tf-uint8")
    started = time.perf_counter()
    with open_session() as session:
        single = measure_experiment(session, begin(session, subject, datasets, scheme))
    separate_s = time.perf_counter() - started - _stage(single.stages, "capture")
    quick = DiagnoseOptions(with_sensitivity=False, with_bits=False)
    with open_session() as session:
        diagnosis = diagnose_experiment(session, begin(session, subject, datasets, scheme), quick)
    rank_s = _stage(diagnosis.stages, "rank")
    ranking = diagnosis.ranking
    print(f"one separate measurement  {separate_s:8.2f} s")
    print(f"ranking {ranking.variant_count:3d} networks      {rank_s:8.2f} s, {ranking.pass_count} passes")
    print(
        f"  ratio to {ranking.variant_count} separate measurements: {rank_s / (separate_s * ranking.variant_count):.2f}"
    )
    shared = ranking.reused_count / max(1, ranking.reused_count + ranking.computed_count)
    print(f"  operations shared with another network of the same pass: {100 * shared:.0f} %")
    for part in ("weights", "both"):
        with open_session() as session:
            options = SensitivityOptions(part)  # type: ignore[arg-type]
            found = measure_sensitivity(session, begin(session, subject, datasets, scheme), options)
        sweep_s = _stage(found.stages, "sweep")
        networks = 2 * len(found.rows) + 1
        print(f"sensitivity, {part}: {networks} networks in {sweep_s:.2f} s")
        print(f"  ratio to {networks} separate measurements: {sweep_s / (separate_s * networks):.2f}")
        print(f"  rank correlation of the Fisher estimate with the exact sweep: {found.fisher_rank_correlation:.2f}")
    return 0


def _stage(stages: object, name: str) -> float:
    return sum(stage.elapsed_s for stage in stages if stage.stage == name)  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(main())
