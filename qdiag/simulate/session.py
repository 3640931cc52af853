"""What one run carries: device, progress, stopwatch, seed, finished passes, and the settings of the arithmetic."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

import torch

from qdiag.batches import Batches, Datasets
from qdiag.capture.program import Program
from qdiag.core.by_identity import ByIdentity
from qdiag.core.progress import NoProgress, Progress, RunProgress
from qdiag.core.scheme import QuantScheme
from qdiag.core.stopwatch import Stopwatch
from qdiag.distributed.join import joined
from qdiag.distributed.processes import ONE, Processes
from qdiag.plan import QuantPlan, StoredLayer
from qdiag.simulate.calibrate import Channels, Observation, observe_network
from qdiag.simulate.calibrations import Calibrations
from qdiag.simulate.case import Case
from qdiag.simulate.layerwise.measure import MEASURED, HeldOutputs, Measured, measure_case
from qdiag.simulate.layerwise.samples import Depth, layer_samples
from qdiag.simulate.mean_inputs import MeanInputs
from qdiag.simulate.observed import Observed
from qdiag.simulate.passes.batchwise.kept_outputs import ReferenceOutputs, ScoredBatches
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.pass_cache import PassCache, PassKeeper
from qdiag.simulate.passes.pass_values import OBSERVATIONS
from qdiag.simulate.plan_builder import build_plan
from qdiag.simulate.selectors import with_names
from qdiag.simulate.surroundings import engine_arithmetic, resolve_device, surroundings
from qdiag.simulate.task.score_cases import Effort, Held, score_cases
from qdiag.simulate.task.scoring import Scored
from qdiag.simulate.task.tasks import Tasks

PAIRED = 3.5
"""Float passes that the figures of all layers take; with the five losses, see `WITH_LOSSES`."""
WITH_LOSSES = 13.0
_OBSERVED = 1.3
"""Float passes that calibration takes."""


@dataclass(frozen=True)
class Session:
    """Made once per run, and handed down. It observes, plans, measures and scores; nothing is done twice.

    Attributes:
        device: where networks run.
        progress: is told of every pass.
        seed: of every random choice: drawn inputs, the places of placebos.
        passes: finished passes, of this run and of earlier ones.
        calibrations: quantizers that were chosen already.
        watch: times the stages of one result.
        mean_inputs: what layers read on the mean. observed: what was seen of networks.
        scored: networks that were scored already, by their case.
        references: what float networks gave for the measured data. simulated: the same of quantized networks.
        asked: batches of which the outputs of quantized networks are to be held.
        is_brief: networks are observed for their quantizers alone: figures that are only shown are left out.
        with_channels: they are observed by channel too, which detectors and repairs read.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    progress: Progress = field(default_factory=NoProgress)
    seed: int = 0
    passes: PassKeeper = field(default_factory=PassKeeper)
    calibrations: Calibrations = field(default_factory=Calibrations)
    watch: Stopwatch = field(default_factory=Stopwatch)
    mean_inputs: MeanInputs = field(default_factory=MeanInputs)
    observed: Observed = field(default_factory=Observed)
    scored: ByIdentity[Scored] = field(default_factory=ByIdentity)
    references: ReferenceOutputs = field(default_factory=ReferenceOutputs)
    simulated: ReferenceOutputs = field(default_factory=ReferenceOutputs)
    asked: ScoredBatches = field(default_factory=ScoredBatches)
    is_brief: bool = False
    with_channels: bool = True

    @property
    def processes(self) -> Processes:
        """Those that divide the batches of a pass."""
        return self.passes.processes

    def timed_anew(self) -> "Session":
        """The same session for another result, with a stopwatch of its own."""
        return replace(self, watch=self.watch.anew())

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A stage without a pass over all data: timed, and reported as one whose steps are not counted."""
        with self.watch.stage(name):
            self.progress.start(name, None)
            yield
            self.progress.finish()

    @contextmanager
    def passes_stage(self, name: str) -> Iterator[None]:
        """A stage of any number of passes, each of which is reported; what they took is known to later runs."""
        with self.watch.stage(name), self.passes.stage(name):
            yield

    @contextmanager
    def untimed_stage(self, name: str) -> Iterator[None]:
        """A stage that is reported, and no part of what a result tells about its times."""
        with self.watch.told(name):
            self.progress.start(name, None)
            yield
            self.progress.finish()

    def expect(self, seconds: Mapping[str, float]) -> None:
        """What stages of the run will have taken at their end, for whoever shows how far it is."""
        if isinstance(self.progress, RunProgress):
            self.progress.expect(seconds)

    def expect_passes(self, case: Case, passes: Mapping[str, float]) -> None:
        """The same in float passes over the measured samples; that of the calibration tells how long one takes."""
        observed_s = sum(stage.elapsed_s for stage in self.watch.stages if stage.stage == "calibrate")
        per_sample_s = observed_s / _OBSERVED / max(case.calibration.sample_count, 1)
        self.expect({stage: count * per_sample_s * case.measured.sample_count for stage, count in passes.items()})

    def observe(
        self, network: Network, batches: Batches, scheme: QuantScheme, *, glance: bool = True, keeps: bool = False
    ) -> Mapping[str, Observation]:
        """Ranges per layer and channel, with histograms where the scheme's calibrators read them, in one float pass.

        Layers that were seen as closely already are not looked at again.

        Args:
            glance: the channels are looked at at some positions only, see `ChannelObserver`.
            keeps: what the network gives is held, where it will be asked for on these batches.
        """
        with_shape = not self.is_brief or not glance
        channels: Channels = "all" if not glance else "some" if self.with_channels else "none"

        def watch(names: Collection[str]) -> Mapping[str, Observation]:
            told, kept = self.progress, self.references.of(network, batches, self.processes) if keeps else None
            run = partial(observe_network, network, batches, scheme, told, processes=self.processes, kept=kept)
            return self.passes.finished(
                "observe" if glance else "observe all",
                OBSERVATIONS,
                lambda: run(channels=channels, names=names, with_shape=with_shape),
                batches=[batches],
                depends_on=(network, scheme, tuple(names), with_shape, channels),
            )

        return self.observed.of(network, batches, scheme, watch, channels=channels, with_shape=with_shape)

    def plan(
        self,
        network: Network,
        observations: Mapping[str, Observation],
        scheme: QuantScheme,
        stored: Mapping[str, StoredLayer] | None = None,
    ) -> QuantPlan:
        """The plan of a scheme for a network, with what a file has `stored` for its layers.

        Raises:
            CalibrationError, ConfigError: see `build_plan`.
        """
        return build_plan(network, observations, scheme, self.calibrations, stored)

    def open_case(
        self,
        program: Program,
        network: Network,
        scheme: QuantScheme,
        datasets: Datasets,
        tasks: Tasks,
        stored: Mapping[str, StoredLayer] | None = None,
    ) -> Case:
        """The untreated case of a captured network, calibrated; its scheme has names for the places in the network.

        Args:
            stored: what a file has for its layers.

        Raises:
            CalibrationError, ConfigError: see `build_plan` and `with_names`.
        """
        scheme = with_names(scheme, network.graph)
        with self.watch.stage("calibrate"):
            is_same = datasets.evaluation is datasets.calibration
            seen = self.observe(network, datasets.calibration, scheme, keeps=is_same)
        with self.watch.stage("plan"):
            plan = self.plan(network, seen, scheme, stored)
        parts = (datasets.calibration, datasets.evaluation, tasks)
        return Case(program, network, network, scheme, plan, seen, *parts, stored=stored or {})

    def measure(self, case: Case, depth: Depth = "full errors", *, stage: str = "simulate") -> Measured:
        """The errors at every layer and output on the measured data, and the task, in one paired pass.

        A pass with a metric of the user's own is never kept, because that code may change unnoticed.
        """
        # more networks will be measured beside this one where detectors look at it
        is_first = depth in ("facts", "full facts")
        own = HeldOutputs(self.references, ReferenceOutputs()) if depth in ("errors", "repaired") else None
        held = HeldOutputs(self.references, self.simulated) if is_first else own

        def run() -> Measured:
            return measure_case(case, depth, self.progress, self.processes, held, stage)

        parts = (case.network, case.plan, case.scheme, repr(case.tasks.key), layer_samples(case, depth))
        batches, is_kept, kind = [case.measured, case.calibration], case.tasks.key is not None, f"measure {depth}"
        found = self.passes.finished(kind, MEASURED, run, batches=batches, depends_on=parts) if is_kept else run()
        if is_first:
            self.asked.add(case.plan, case.measured, found.outputs)
        return found

    def score(self, cases: Sequence[Case], stage: str, *, keeps: bool = False) -> tuple[list[Scored], Effort]:
        """The score of each case on its measured data, beside the float network; see `score_cases`. Each case once.

        Args:
            keeps: what these networks give is held, so that they run on new samples alone where more are added.
        """
        new = list({id(case): case for case in cases if self.scored.get(case) is None}.values())
        held = Held(self.references, self.simulated, keeps)
        found, effort = score_cases(new, self.passes, self.progress, held, stage=stage) if new else ([], Effort())
        for case, one in zip(new, found, strict=True):
            self.scored.put(case, one)
            if keeps:
                self.asked.add(case.plan, case.measured, one.score.outputs)
        known = [self.scored.get(case) for case in cases]
        return [one for one in known if one is not None], effort


@contextmanager
def open_session(
    *,
    device: str = "cpu",
    progress: Progress | None = None,
    seed: int = 0,
    cache: PassCache | None = None,
    is_divided: bool = False,
) -> Iterator[Session]:
    """A session, and inside it the arithmetic of the passes; afterwards the process has its own settings back.

    Args:
        device: `cpu`, `cuda` or `auto`.
        cache: where finished passes are kept, and found when a run that was stopped is started again.
        is_divided: processes that `torchrun` started divide the batches of every pass; see `joined`.

    Raises:
        ConfigError: no such device here.
    """
    where = resolve_device(device)
    with engine_arithmetic(), joined(where) if is_divided else nullcontext(ONE) as processes:
        passes = PassKeeper(cache, surroundings(where) if cache is not None else "", processes)
        watch = Stopwatch(progress if isinstance(progress, RunProgress) else None)
        yield Session(where, progress or NoProgress(), seed, passes, watch=watch)
