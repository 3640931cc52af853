"""What an experiment works with: networks, trainings and measurements of one seed."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from torch import nn

from qdiag.batches import Datasets
from qdiag.capture.state import own_randomness
from qdiag.config import load_scheme
from qdiag.core.causes.training import TrainingRecord
from qdiag.core.measures.measurement import Measurement
from qdiag.core.reproductions.seeds import Curve, Diverged, Measured, Place, SeedResult
from qdiag.core.scheme import QuantScheme
from qdiag.errors import DivergedError
from qdiag.pipeline.begin import Experiment, begin
from qdiag.pipeline.sqnr import measure_experiment
from qdiag.reproduce.images import ChangedImages, Division
from qdiag.reproduce.prefixed import Prefixed
from qdiag.reproduce.probe import PROBED_RATE, PROBED_STEPS, Probe
from qdiag.simulate.changes import with_scheme
from qdiag.simulate.selectors import with_names
from qdiag.simulate.session import Session
from qdiag.subject import Subject
from qdiag.train.loop import Training
from qdiag.train.losses import choose_loss
from qdiag.train.moving import moving_names
from qdiag.train.network.parameters import parameter_names
from qdiag.train.plain.loop import Penalty, PlainLoop, PlainTraining, Selection
from qdiag.train.plain.settings import PlainSettings
from qdiag.train.settings import TrainingSettings
from qdiag.zoo import build

_MANY = 4000
"""Training images from which on an update may have many of them."""


@dataclass
class Lab:
    """One seed of an experiment.

    Attributes:
        images: as this seed divides them. epochs: the unit of the lengths of all trainings.
        width: factor on the channels of every network.
        probe: where the costs are written down in a run that only measures them; None in a run that counts.
    """

    session: Session
    seed: int
    images: Division
    epochs: int
    width: float = 1.0
    probe: Probe | None = None
    _measured: list[Measured] = field(default_factory=list)
    _curves: list[Curve] = field(default_factory=list)
    _diverged: list[Diverged] = field(default_factory=list)
    _trained_epochs: int = 0

    @property
    def datasets(self) -> Datasets:
        """The images that calibrate, and those that are measured."""
        return self.images.datasets

    @property
    def batch_size(self) -> int:
        """Samples of an update: more where there are many, so that an epoch takes less time."""
        return 32 if len(self.images.trained) < _MANY else 128

    def build(self, name: str, **arguments: object) -> nn.Module:
        """A network of the zoo for these images; one seed and one name give the same initial weights each time."""
        found = {"classes": self.images.whole.class_count, **arguments}
        with own_randomness(self.seed):
            return build(name, found)

    def train(
        self,
        model: nn.Module,
        settings: PlainSettings | None = None,
        *,
        share: float = 1.0,
        name: str = "train",
        penalty: Penalty | None = None,
        undecayed: Selection | None = None,
    ) -> PlainTraining:
        """Trains a float network in place.

        Args:
            share: of the unit of epochs. name: of the stage, for the progress.
            penalty: what is added to the loss of every batch. undecayed: weights that do not decay, by their name.

        Raises:
            DivergedError: the training diverged.
        """
        epochs, settings = self._epochs(share), settings or PlainSettings()
        if self.probe is not None:
            settings = replace(settings, learning_rate=PROBED_RATE)
        loop = PlainLoop(
            self.session,
            settings,
            epochs,
            self.seed,
            self._stage(name),
            penalty,
            undecayed,
            PROBED_STEPS if self.probe is not None else None,
        )
        started = time.perf_counter()
        with own_randomness(self.seed):
            trained = loop.run(model, self.images.pixels)
        if self.probe is not None:
            spent, epoch = time.perf_counter() - started, trained.steps * trained.step_seconds
            self.probe.add(share=share, seconds_per_epoch=epoch, spent=spent)
        return trained

    def begin(self, model: nn.Module, scheme: QuantScheme | str) -> Experiment:
        """The network captured, and calibrated under a scheme.

        Raises:
            QdiagError: it cannot be captured, or the scheme does not fit it.
        """
        name = type(model).__name__
        with own_randomness(self.seed):
            subject = Subject(model, "module", name, name)
            return begin(self.session.timed_anew(), subject, self.datasets, _scheme(scheme))

    def under(self, experiment: Experiment, scheme: QuantScheme | str) -> Experiment:
        """A captured network under another scheme.

        Raises:
            QdiagError: the scheme does not fit it.
        """
        named = with_names(_scheme(scheme), experiment.case.network.graph)
        return replace(experiment, case=with_scheme(self.session, experiment.case, named))

    def measure(self, network: nn.Module | Experiment, scheme: QuantScheme | str) -> Measurement:
        """The network under a scheme, on the held-out images; one that was captured already takes less time."""
        begun = self.under(network, scheme) if isinstance(network, Experiment) else self.begin(network, scheme)
        return measure_experiment(self.session.timed_anew(), begun)

    def train_quantized(
        self,
        network: nn.Module | Experiment,
        scheme: QuantScheme | str,
        settings: TrainingSettings,
        *,
        share: float = 1.0,
        name: str = "quantized network",
    ) -> tuple[Measurement, TrainingRecord]:
        """The network trained with its quantizers in place by the tool's own training, and measured; it stays as it is.

        Args:
            share: of the unit of epochs. name: of the stage, for the progress.

        Raises:
            QdiagError: it cannot be captured or trained under this scheme.
        """
        begun = self.under(network, scheme) if isinstance(network, Experiment) else self.begin(network, scheme)
        case, pixels = begun.case, self.images.pixels
        size = min(settings.batch_size, len(pixels))
        settings = replace(settings, epochs=self._epochs(share), batch_size=size)
        if self.probe is not None:
            few = PROBED_STEPS * size
            pixels = replace(pixels, images=pixels.images[:few], labels=pixels.labels[:few])
            settings = replace(settings, epochs=2, learning_rate=PROBED_RATE)
        training = Training(
            session=replace(self.session, seed=self.seed, progress=Prefixed(self.session.progress, self._stage(name))),
            case=case,
            settings=settings,
            loss=choose_loss(case.tasks, distill=settings.distill),
            samples=ChangedImages(pixels, self.images.whole.source, self.seed, size),
            judges=self.images.judging,
            moving=moving_names(case, parameter_names(begun.subject)),
        )
        with own_randomness(self.seed):
            trained = training.run()
        if self.probe is not None:
            self._probe_quantized(trained.record, share, len(pixels) // size)
        after = measure_experiment(self.session.timed_anew(), replace(begun, case=trained.case))
        return after, trained.record

    @contextmanager
    def variant(self, row: str) -> Iterator[None]:
        """What is run for one row alone: where its training diverges, that is written down, and others go on."""
        try:
            yield
        except DivergedError as error:
            self.give_up(error, row)

    def give_up(self, error: DivergedError, row: str = "") -> None:
        """Writes down that a training diverged; without a row nothing after it could be run."""
        self._diverged.append(Diverged(row, error.message.removeprefix("the training diverged: ")))

    def record(self, row: str, column: str, value: float) -> None:
        """Writes down a figure."""
        self._measured.append(Measured(Place(row, column), float(value)))

    def curve(self, drawing: str, row: str, values: Sequence[float], labels: Sequence[str] = ()) -> None:
        """Writes down a line of a drawing."""
        self._curves.append(Curve(drawing, row, tuple(map(float, values)), tuple(labels)))

    def result(self, seconds: float, cpu_seconds: float) -> SeedResult:
        """Everything that was written down."""
        measured, curves = tuple(self._measured), tuple(self._curves)
        return SeedResult(
            self.seed, measured, curves, self._trained_epochs, seconds, cpu_seconds, tuple(self._diverged)
        )

    def _stage(self, name: str) -> str:
        return f"seed {self.seed}, {name}"

    def _epochs(self, share: float) -> int:
        epochs = max(1, round(share * self.epochs))
        self._trained_epochs += epochs
        return epochs

    def _probe_quantized(self, record: TrainingRecord, share: float, steps: int) -> None:
        assert self.probe is not None
        judging, _, both = (epoch.seconds for epoch in record.epochs)  # the first updates take longer
        per_step = max(0.0, both - judging) / max(1, steps)
        epoch = per_step * max(1, len(self.images.trained) // record.batch_size) + judging
        self.probe.add(share=share, seconds_per_epoch=epoch, spent=sum(epoch.seconds for epoch in record.epochs))


def _scheme(scheme: QuantScheme | str) -> QuantScheme:
    return load_scheme(scheme) if isinstance(scheme, str) else scheme
