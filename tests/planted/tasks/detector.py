"""A detector with one output that holds boxes beside scores, as YOLOv8 and its kin export it.

The photographs are 320 pixels wide and high; the network sees every fifth pixel, and gives boxes in pixels of the
photograph. Rounded with one scale, boxes of 0 to 320 leave steps of 1.25, and scores between 0 and 1 are lost. In the
healthy twins boxes are fractions of the width, or boxes and scores are two outputs.
"""

from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.planted.tasks.metrics import Floats, array, f1, suppress
from tests.planted.tasks.task_network import Samples, TaskData, TaskNetwork, fit, seeded

WIDTH = 320.0
SIZE, STRIDE = 64, 8
CELLS = SIZE // STRIDE
CLASSES = 2
BEST_SCORE = 0.5
"""Scores are trained to be at most this: those of detectors trained with soft targets seldom are near 1."""
LEAST_SCORE = 0.2
"""Below this a box does not count."""

Head = Literal["pixels", "fractions", "two_outputs"]


def draw(count: int, seed: int) -> Samples:
    """Images (N, 3, 64, 64) with one to three rectangles that do not overlap: class 0 is red, class 1 is blue."""
    random = np.random.default_rng(seed)
    images = random.normal(0.0, 0.1, (count, 3, SIZE, SIZE)).astype(np.float32)
    targets = []
    for i in range(count):
        taken = np.zeros((SIZE, SIZE), dtype=bool)
        boxes, labels = [], []
        for _ in range(random.integers(1, 4)):
            width, height = random.integers(12, 29, 2)
            x, y = random.integers(0, SIZE - width), random.integers(0, SIZE - height)
            place = np.s_[max(y - 2, 0) : y + height + 2, max(x - 2, 0) : x + width + 2]
            if taken[place].any():
                continue
            taken[place] = True
            label = int(random.integers(CLASSES))
            images[i, 2 * label, y : y + height, x : x + width] += random.uniform(0.6, 1.0)
            boxes.append((x, y, x + width, y + height))
            labels.append(label)
        scaled = np.asarray(boxes, dtype=np.float32) * (WIDTH / SIZE)
        targets.append({"boxes": torch.from_numpy(scaled), "labels": torch.tensor(labels)})
    return Samples(torch.from_numpy(images), targets)


@cache
def data(head: Head = "pixels") -> TaskData:
    """With true boxes in the unit of the head's own."""
    parts = draw(384, 1), draw(64, 2), draw(96, 3)
    if head != "fractions":
        return TaskData(*parts)
    return TaskData(
        *(
            Samples(part.inputs, [{**target, "boxes": target["boxes"] / WIDTH} for target in part.targets])
            for part in parts
        )
    )


class Detector(nn.Module):
    """Images (N, 3, 64, 64) to predictions (N, 4 + 2, 64): centre, width, height and two scores for each cell.

    Args:
        head: what comes out: one tensor with boxes in pixels, one with boxes as fractions of the width, or two tensors.
    """

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

        def block(c_in: int, c_out: int, stride: int) -> nn.Sequential:
            conv = nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1, bias=False)
            return nn.Sequential(conv, nn.BatchNorm2d(c_out), nn.ReLU())

        self.backbone = nn.Sequential(block(3, 12, 2), block(12, 16, 2), block(16, 24, 2), block(24, 32, 1))
        self.box = nn.Conv2d(32, 4, 1)
        self.score = nn.Conv2d(32, CLASSES, 1)
        with torch.no_grad():
            self.score.bias.fill_(-3.0)
        centres = torch.arange(CELLS) + 0.5
        grid = torch.stack(torch.meshgrid(centres, centres, indexing="xy")).flatten(1)
        self.register_buffer("centres", grid, persistent=False)

    def raw(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Left, top, right and bottom seen from each cell, in cells (N, 4, 64); logits (N, 2, 64)."""
        features = self.backbone(x)
        return self.box(features).flatten(2), self.score(features).flatten(2)

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        sides, logits = self.raw(x)
        low, high = self.centres - sides[:, :2], self.centres + sides[:, 2:]
        scale = (1.0 if self.head == "fractions" else WIDTH) / CELLS
        boxes = torch.cat(((low + high) * (scale / 2), (high - low) * scale), 1)
        if self.head == "two_outputs":
            return {"boxes": boxes, "scores": logits.sigmoid()}
        return torch.cat((boxes, logits.sigmoid()), 1)


def _aims(samples: Samples) -> tuple[Tensor, Tensor, Tensor]:
    """For each cell: sides (N, 4, 64), whether it is to know them (N, 64), and the scores it is to give (N, 2, 64)."""
    centres = torch.arange(CELLS) + 0.5
    x, y = torch.meshgrid(centres, centres, indexing="xy")
    x, y = x.flatten(), y.flatten()
    count = len(samples.inputs)
    sides, inside = torch.zeros(count, 4, len(x)), torch.zeros(count, len(x), dtype=torch.bool)
    scores = torch.zeros(count, CLASSES, len(x))
    for i, target in enumerate(samples.targets):
        for box, label in zip(target["boxes"] * (CELLS / WIDTH), target["labels"], strict=True):
            seen = torch.stack((x - box[0], y - box[1], box[2] - x, box[3] - y))
            within = (seen > 0).all(0)
            sides[i, :, within] = seen[:, within]
            inside[i] |= within
            distance = (x - (box[0] + box[2]) / 2) ** 2 + (y - (box[1] + box[3]) / 2) ** 2
            scores[i, label] = torch.maximum(scores[i, label], BEST_SCORE * torch.exp(-distance / 2.0))
    return sides, inside, scores


@cache
def _trained() -> dict[str, Tensor]:
    model = seeded(lambda: Detector("pixels"))
    images = data().fit.inputs
    sides, inside, scores = _aims(data().fit)

    def loss(module: nn.Module, chosen: Tensor) -> Tensor:
        assert isinstance(module, Detector)
        found, logits = module.raw(images[chosen])
        miss = (F.smooth_l1_loss(found, sides[chosen], reduction="none", beta=0.2).mean(1) * inside[chosen]).sum()
        wrong = F.binary_cross_entropy_with_logits(logits, scores[chosen], reduction="sum")
        return miss / inside[chosen].sum() + wrong / len(chosen)

    return fit(model, loss, kept_as="detector", sample_count=len(images), steps=170, rate=6e-3).state_dict()


@cache
def build(head: Head) -> nn.Module:
    """The trained detector with that head; all have the same weights."""
    model = seeded(lambda: Detector(head))
    model.load_state_dict(_trained())
    return model.eval().requires_grad_(False)


def boxes_of(prediction: Floats, scores: Floats) -> tuple[Floats, Any, Floats]:
    """Boxes as x0, y0, x1, y1 (M, 4), their classes and scores, best first, for one image.

    Args:
        prediction: centre, width, height (4, 64). scores: (2, 64).
    """
    best, labels = scores.max(0), scores.argmax(0)
    chosen = best >= LEAST_SCORE
    centre, size = prediction[:2, chosen].T, prediction[2:4, chosen].T
    boxes = np.concatenate((centre - size / 2, centre + size / 2), 1)
    best, labels = best[chosen], labels[chosen]
    kept = suppress(boxes, best, labels, 0.4)
    return boxes[kept], labels[kept], best[kept]


def detection_f1(outputs: Any, targets: Any) -> Floats:
    """F1 at IoU 0.5 of each image."""
    boxes, scores = outputs if isinstance(outputs, tuple) else (outputs[:, :4], outputs[:, 4:])
    found = [boxes_of(b, s) for b, s in zip(array(boxes), array(scores), strict=True)]
    pairs = zip(found, targets, strict=True)
    return np.array([f1(boxes, labels, target) for (boxes, labels, _), target in pairs])


def _network(name: str, head: Head, **more: Any) -> TaskNetwork:
    return TaskNetwork(
        name=name,
        task="detect",
        architecture=lambda: Detector(head),
        build=lambda: build(head),
        data=lambda: data(head),
        metric=detection_f1,
        float_min=0.85,
        **more,
    )


NETWORKS = (
    _network(
        "detector",
        "pixels",
        judged="output",
        drop_min=0.5,
        layers=("concat#2",),
        code="QD401",
        twin="detector_fractions",
    ),
    _network("detector_fractions", "fractions", judged="output"),
    _network("detector_two_outputs", "two_outputs", judged="scores"),
)
