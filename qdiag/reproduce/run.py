"""All seeds of an experiment, within the time that is allowed, and what they say together."""

import platform
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from qdiag.core.reproductions.expectations import Reason, judge
from qdiag.core.reproductions.reproduction import Images, Reproduction, RunInfo
from qdiag.core.reproductions.seeds import SeedResult
from qdiag.errors import ConfigError, DivergedError
from qdiag.reproduce.experiment import PaperExperiment
from qdiag.reproduce.images import ImageSet
from qdiag.reproduce.lab import Lab
from qdiag.reproduce.probe import Probe
from qdiag.reproduce.reasons import diverged
from qdiag.reproduce.stored_seed import EPOCHS, SEEDS
from qdiag.simulate.passes.pass_cache import PassKeeper
from qdiag.simulate.session import Session
from qdiag.simulate.surroundings import device_name, versions

_ABOVE_CHANCE = 2.0
"""A network that has learned is right so many times as often as one that guesses."""


@dataclass(frozen=True)
class RunRequest:
    """How much of an experiment is run.

    Attributes:
        seeds: how many; they are numbered from `first_seed` on.
        epochs: unit of all trainings; None lets `minutes` decide.
        minutes: for all seeds together; no further seed begins that would go beyond them. None has no limit.
        width: factor on the channels of all networks.
    """

    seeds: int = 3
    epochs: int | None = None
    minutes: float | None = None
    width: float = 1.0
    first_seed: int = 0

    def __post_init__(self) -> None:
        for name in ("seeds", "epochs", "minutes", "width"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{name} = {value}", hint="use more than 0")


@dataclass(frozen=True)
class _Runner:
    session: Session
    experiment: PaperExperiment
    images: ImageSet
    request: RunRequest

    def lab(self, seed: int, epochs: int, probe: Probe | None = None) -> Lab:
        """Passes over a network that is trained anew each time are not worth to be kept."""
        session = replace(self.session, seed=seed, passes=PassKeeper())
        return Lab(session, seed, self.images.divided(seed), epochs, self.request.width, probe)

    def seed(self, seed: int, epochs: int) -> SeedResult:
        """A finished one of an earlier run, or it is run."""

        def run() -> SeedResult:
            started, cpu_started = time.perf_counter(), time.process_time()
            lab = self.lab(seed, epochs)
            try:
                self.experiment.run_seed(lab)
            except DivergedError as error:
                lab.give_up(error)
            return lab.result(time.perf_counter() - started, time.process_time() - cpu_started)

        key = ("seed", self.experiment.name, self.images.digest, self.request.width, seed, epochs)
        return self.session.passes.finished("reproduce", SEEDS, run, batches=(), depends_on=key)

    def epochs(self, minutes: float) -> int:
        """What fits into the time, from the time that a few steps of every training take."""

        def measure() -> int:
            probe, started, first = Probe(), time.perf_counter(), self.request.first_seed
            self.experiment.run_seed(self.lab(first, 1, probe))
            probed = time.perf_counter() - started
            return probe.epochs_within(
                seconds=60.0 * minutes,
                seeds=self.request.seeds,
                probed=probed,
                at_most=self.experiment.epochs_at_most,
            )

        key = ("epochs", self.experiment.name, self.images.digest, self.request)
        return self.session.passes.finished("reproduce", EPOCHS, measure, batches=(), depends_on=key)


def _stage(seed: int) -> str:
    return f"seed {seed}"


def run_experiment(
    session: Session, experiment: PaperExperiment, images: ImageSet, request: RunRequest
) -> Reproduction:
    """Runs the seeds one after the other, and compares what they give with what was published and expected.

    The same seed gives the same numbers on the same machine, as long as the epochs are the same: where the time decides
    about them, the result says how many they are.

    Raises:
        DataError: there are too few images.
    """
    started, runner = time.perf_counter(), _Runner(session, experiment, images, request)
    epochs = request.epochs
    if epochs is None:
        with session.watch.told("try a few steps"):
            epochs = runner.epochs(request.minutes) if request.minutes is not None else experiment.digit_epochs
    seeds, begun = list[SeedResult](), time.perf_counter()
    numbers = range(request.first_seed, request.first_seed + request.seeds)
    if request.minutes is not None:
        each_s = (60.0 * request.minutes - (begun - started)) / request.seeds
        session.expect({_stage(seed): each_s for seed in numbers})
    for seed in numbers:
        now = time.perf_counter()
        if seeds and request.minutes is not None:
            next_s = (now - begun) / len(seeds)
            if now - started + next_s > 60.0 * request.minutes:
                break
        with session.watch.told(_stage(seed)):
            seeds.append(runner.seed(seed, epochs))
        mean_s = (time.perf_counter() - begun) / len(seeds)
        session.expect({_stage(other): mean_s for other in numbers[len(seeds) :]})
    run = RunInfo(
        images=_image_facts(images, request.first_seed),
        epochs=epochs,
        are_epochs_chosen=request.epochs is None and request.minutes is not None,
        minutes=request.minutes,
        seed_count=request.seeds,
        width=request.width,
        device=device_name(session.device),
        machine=_machine(),
        threads=torch.get_num_threads(),
        seconds=time.perf_counter() - started,
    )
    found = Reproduction(
        experiment.name,
        run,
        tuple(seeds),
        experiment.rows,
        experiment.columns,
        drawings=experiment.drawings,
        versions=versions(),
    )
    judged = [judge(expectation, seeds) for expectation in experiment.expectations]
    chance = _chance(found, experiment)
    if chance is not None:
        undecided = [replace(one, outcome="undecided", reasons=(chance,)) for one in judged]
        return replace(found, judged=tuple(undecided))
    explained = [
        one
        if one.outcome == "holds"
        else replace(one, reasons=(*diverged(found, one), *experiment.reasons(found, one)))
        for one in judged
    ]
    return replace(found, judged=tuple(explained))


def _chance(result: Reproduction, experiment: PaperExperiment) -> Reason | None:
    """The float network did not learn, so that nothing which is compared with it says anything."""
    if experiment.level is None:
        return None
    if not result.cell(experiment.level.row, experiment.level.column).values:
        return None  # all of them diverged, which is a reason of its own
    level, chance = result.cell(experiment.level.row, experiment.level.column), 100.0 / result.run.images.class_count
    if level.mean > _ABOVE_CHANCE * chance:
        return None
    return Reason("chance", {"top1": level.mean, "chance": chance, "epochs": result.run.epochs})


def _image_facts(images: ImageSet, seed: int) -> Images:
    division = images.divided(seed)
    channels, height, width = images.images.shape[1:]
    return Images(
        source=images.source,
        is_given=images.is_given,
        digest=images.digest,
        shape=(channels, height, width),
        class_count=images.class_count,
        train_count=len(division.trained),
        judge_count=len(division.judges),
        calibration_count=division.calibration_count,
        test_count=len(division.tested),
        is_mirrored=images.mirrors,
        resized=images.resized,
    )


def _machine() -> str:
    """The processor as the operating system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
