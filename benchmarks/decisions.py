"""Whether a default run decides what `--exhaustive` decides: codes, causes in order, verdicts, the sequence of repairs.

    python benchmarks/decisions.py                        every planted network and its twin, and those of all tasks
    python benchmarks/decisions.py --data FOLDER          the real networks of that folder as well
    python benchmarks/decisions.py --only QD301 --store F keeps what the exhaustive runs decided in the file F

One line for each network: the processor time of both, and what differs.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch.export import ExportedProgram

from qdiag.batches import Datasets
from qdiag.cli.process import prepare_process
from qdiag.config import load_preset
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.scheme import QuantScheme
from qdiag.loaders.data.sources import DataRequest, batches_from, open_datasets
from qdiag.loaders.images.preprocessing import preset
from qdiag.loaders.models.formats import load_subject
from qdiag.pipeline.begin import begin
from qdiag.pipeline.diagnose import DiagnoseOptions, diagnose_experiment
from qdiag.simulate.session import open_session
from qdiag.subject import Subject
from tests.planted.faults import FAULTS
from tests.planted.tasks.registry import TASK_NETWORKS

BATCH = 16

Decisions = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A network under a scheme, made when it is asked for."""

    name: str
    opened: Callable[[], tuple[Subject, Datasets, QuantScheme]]


def planted() -> Iterator[Run]:
    for fault in FAULTS:
        for kind, network in (("sick", fault.sick), ("twin", fault.twin)):

            def opened(network: Any = network) -> tuple[Subject, Datasets, QuantScheme]:
                data, model = network.data, network.build()
                kind = "exported_program" if isinstance(model, ExportedProgram) else "module"
                parts = batches_from(data.calibration, 64), batches_from(data.measured, BATCH)
                return Subject(model, kind, "planted", "Chain"), Datasets(*parts, "drawn apart"), network.scheme

            yield Run(f"{fault.code} {fault.name} {kind}", opened)


def of_tasks() -> Iterator[Run]:
    for name, network in TASK_NETWORKS.items():

        def opened(network: Any = network) -> tuple[Subject, Datasets, QuantScheme]:
            data = network.data()
            parts = [batches_from(part.batches(BATCH), BATCH) for part in (data.calibration, data.measured)]
            subject = Subject(network.build(), "module", network.name, type(network.build()).__name__)
            how = network.scheme if isinstance(network.scheme, QuantScheme) else load_preset(network.scheme)
            return subject, Datasets(parts[0], parts[1], "drawn apart"), how

        yield Run(f"task {name}", opened)


def real(folder: Path) -> Iterator[Run]:
    networks = folder / "networks.py"
    photos = DataRequest(
        data=str(folder / "imagenet_val_600"),
        preprocessing=preset("tf").override(crop=224),
        samples=100,
        calib_samples=50,
        batch_size=16,
    )

    def small(file: str, how: str, samples: int) -> DataRequest:
        return DataRequest(
            data=str(folder / file),
            preprocessing=preset(how),
            samples=samples,
            calib_samples=100,
            batch_size=25,
        )

    rows: list[tuple[str, str, DataRequest, tuple[str, ...]]] = [
        ("mobilenet_v1_0.75_224", "zoo:mobilenet_v1?width=0.75", photos, ("tf-uint8", "int8", "w4a8")),
        (
            "mobilenet_v1_0.25_vww96",
            f"{networks}:mobilenet_v1_025_vww",
            small("vww96_600.npz", "none", 300),
            ("tf-uint8", "w4a8"),
        ),
        (
            "resnet20_cifar10",
            f"{networks}:resnet20_cifar10",
            small("cifar10_test2000.npz", "imagenet-stats", 300),
            ("int8", "w4a8"),
        ),
        (
            "nin_cifar10",
            f"{networks}:nin_cifar10",
            small("cifar10_test2000.npz", "cifar10", 300),
            ("tf-uint8", "w4a8"),
        ),
    ]
    for weights, arch, data, schemes in rows:
        for scheme in schemes:

            def opened(
                weights: str = weights, arch: str = arch, data: DataRequest = data, scheme: str = scheme
            ) -> tuple[Subject, Datasets, QuantScheme]:
                subject = load_subject(str(folder / f"{weights}.safetensors"), arch=arch)
                return subject, open_datasets(data), load_preset(scheme)

            yield Run(f"real {weights} {scheme}", opened)


def decided(found: Diagnosis) -> Decisions:
    """What a reader acts on."""
    ranking = found.ranking
    return {
        "harm": ranking.harm.verdict,
        "codes": [finding.code for finding in ranking.findings],
        "causes": [[cause.code, cause.verdict, list(cause.layers)] for cause in ranking.causes],
        "best": [[cause.code, cause.trials[0].repair] for cause in ranking.claimed],
        "steps": [[step.code, step.repair] for step in ranking.waterfall],
        "way_around": ranking.way_around.repair if ranking.way_around is not None else None,
    }


def run(one: Run, *, is_exhaustive: bool) -> tuple[Decisions, float]:
    """What is decided, and the processor time of it."""
    subject, datasets, scheme = one.opened()
    started = time.process_time()
    with open_session() as session:
        options = DiagnoseOptions(with_bits=False, is_exhaustive=is_exhaustive)
        found = diagnose_experiment(session, begin(session, subject, datasets, scheme), options)
    return decided(found), time.process_time() - started


def main() -> int:
    """Prints a line for each network, and how many decide alike."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--store", type=Path)
    given = parser.parse_args()
    prepare_process()
    runs = [*planted(), *of_tasks(), *(real(given.data) if given.data is not None else ())]
    known: dict[str, tuple[Decisions, float]] = {}
    if given.store is not None and given.store.exists():
        known = json.loads(given.store.read_text())
    alike = count = 0
    some_s = all_s = 0.0
    for one in [one for one in runs if given.only in one.name]:
        torch.manual_seed(0)
        if one.name not in known:
            known[one.name] = run(one, is_exhaustive=True)
            if given.store is not None:
                given.store.write_text(json.dumps(known))
        (whole, whole_s), (some, spent_s) = known[one.name], run(one, is_exhaustive=False)
        count, all_s, some_s = count + 1, all_s + whole_s, some_s + spent_s
        differing = [key for key in whole if whole[key] != some[key]]
        alike += not differing
        print(f"{one.name:<50}{whole_s:>8.1f} s{spent_s:>8.1f} s", *differing, flush=True)
        for key in differing:
            print(f"    {key}: all samples {whole[key]}\n    {key}: some {some[key]}")
    print(f"{alike} of {count} networks decide alike; {all_s:.0f} s exhaustive, {some_s:.0f} s by default")
    return 0 if alike == count else 1


if __name__ == "__main__":
    sys.exit(main())
