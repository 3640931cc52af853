"""A few images, and an experiment that takes no time."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from qdiag.core.reproductions.drawings import Bars, Lines
from qdiag.core.reproductions.expectations import Expectation, Judged, Reason, judge
from qdiag.core.reproductions.reproduction import Images, Reproduction, RunInfo
from qdiag.core.reproductions.seeds import Measured, Place, SeedResult
from qdiag.reproduce.experiment import PaperExperiment
from qdiag.reproduce.figures import float_top1, top1
from qdiag.reproduce.images import ImageSet
from qdiag.reproduce.lab import Lab
from qdiag.simulate.session import Session
from qdiag.train.plain.settings import PlainSettings
from qdiag.train.settings import TrainingSettings


def stripes(count: int = 60, size: int = 8, *, classes: int = 3, in_colour: bool = False) -> ImageSet:
    """Images with a bright row at one of a few heights, which is the class."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(count) % classes
    images = torch.randint(0, 60, (count, 1, size, size), generator=generator, dtype=torch.uint8).repeat(1, 3, 1, 1)
    images[torch.arange(count), :, 2 * labels + 1] = 230
    if in_colour:
        images[:, 0] = 0
    return ImageSet("stripes", "digest", images, labels, classes, shift=1)


class Rows(nn.Module):
    """One convolution and a linear layer: enough for stripes."""

    def __init__(self, size: int = 8, classes: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.head = nn.Linear(4 * size, classes)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.relu(self.bn(self.conv(x))).mean(3).flatten(1))
        return y


def run_seed(lab: Lab) -> None:
    """Float, quantized, and trained with quantizers."""
    torch.manual_seed(lab.seed)
    model = Rows()
    lab.curve("training", "float", lab.train(model, PlainSettings(learning_rate=0.05, batch_size=12)).losses)
    found = lab.measure(model, "tf-uint8")
    lab.record("float", "top1", float_top1(found))
    settings = TrainingSettings(learning_rate=0.01, batch_size=12)
    trained, record = lab.train_quantized(model, "tf-uint8", settings, share=0.5)
    lab.record("qat4c", "top1", top1(trained))
    lab.curve("training", "qat4c", [epoch.training_loss for epoch in record.epochs[1:]])


def why(result: Reproduction, judged: Judged) -> tuple[Reason, ...]:
    del result, judged
    return (Reason("nothing_lost", {"drop_pp": 0.25}),)


SMALL = PaperExperiment(
    name="qat",
    rows=("float", "qat4c"),
    columns=("top1",),
    expectations=(
        Expectation("loses_4c", "more", Place("float", "top1"), None, -1000.0),
        Expectation("recovers_4c", "more", Place("qat4c", "top1"), Place("float", "top1"), 500.0),
    ),
    drawings=(Bars("accuracy", ("float", "qat4c"), ("top1",)), Lines("training")),
    run_seed=run_seed,
    reasons=why,
    digit_epochs=2,
    epochs_at_most=3,
)


def lab_of(session: Session, images: ImageSet, *, width: float = 1.0) -> Lab:
    """The first seed of an experiment of one epoch."""
    return Lab(session, 0, images.divided(0), 1, width)


def result_of(experiment: PaperExperiment, *figures: Mapping[tuple[str, str], float]) -> Reproduction:
    """Seeds with these figures, by row and column; what is not among them was not measured."""
    measured = [tuple(Measured(Place(*place), value) for place, value in one.items()) for one in figures]
    images = Images("stripes", False, "digest", (3, 8, 8), 3, 30, 6, 14, 10, False)
    run = RunInfo(images, 1, False, None, len(figures), 1.0, "cpu", "machine", 1, 1.0)
    seeds = tuple(SeedResult(seed, found) for seed, found in enumerate(measured))
    judged = tuple(judge(one, seeds) for one in experiment.expectations)
    return Reproduction(experiment.name, run, seeds, experiment.rows, experiment.columns, judged, experiment.drawings)
