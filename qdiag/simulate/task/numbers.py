"""Regression and images: the distance between what a network gives and what it should give."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.core.measures.task import Criterion, Figure
from qdiag.errors import TargetError
from qdiag.simulate.task.base import Gain, RowTask, Table
from qdiag.simulate.task.means import mean_figure, mean_gain
from qdiag.simulate.task.sums import sums_figure, sums_gain

RELATIVE_LIMIT = 0.05
"""An error that grows by a twentieth is what regression users call a change."""
_PSNR_LIMIT_DB = 0.1
"""Differences of PSNR from which on super-resolution papers call one method better than another."""
_COSINE_LIMIT = 0.01


@dataclass(frozen=True)
class MeanError(RowTask):
    """Mean absolute error (MAE), or root of the mean square error (RMSE), over all numbers of all samples."""

    index: int
    kind: Literal["MAE", "RMSE"] = "MAE"

    @property
    def criterion(self) -> Criterion:
        return Criterion(self.kind, "", "", False, RELATIVE_LIMIT, RELATIVE_LIMIT, is_relative=True)

    def rows(self, batch: Batch, outputs: tuple[Any, ...], reference: tuple[Any, ...]) -> Tensor:
        """The mean error of each sample and 1, (N, 2)."""
        del reference
        error = errors_of(batch, outputs[self.index])
        size = error.abs().mean(1) if self.kind == "MAE" else error.square().mean(1)
        return torch.stack([size, torch.ones_like(size)], 1)

    def figure(self, *, reference: Table, simulated: Table) -> Figure:
        if self.kind == "MAE":
            return mean_figure(self.criterion, reference=reference, simulated=simulated)
        return sums_figure(self.criterion, _root_of_mean, reference=reference, simulated=simulated)

    def gain(self, *, before: Table, after: Table) -> Gain:
        if self.kind == "MAE":
            return mean_gain(self.criterion, before=before, after=after)
        return sums_gain(self.criterion, _root_of_mean, before=before, after=after)


@dataclass(frozen=True)
class PSNR(RowTask):
    """Peak signal-to-noise ratio of each sample, 10 log10(peak^2 / MSE), and the mean over samples.

    Attributes:
        peak: largest value that the targets may have: 1 or 255.
    """

    index: int
    peak: float = 1.0

    @property
    def criterion(self) -> Criterion:
        return Criterion("PSNR", "dB", "dB", True, _PSNR_LIMIT_DB, _PSNR_LIMIT_DB)

    def rows(self, batch: Batch, outputs: tuple[Any, ...], reference: tuple[Any, ...]) -> Tensor:
        """The PSNR of each sample and 1, (N, 2); an exact sample counts as 100 dB, so that means stay finite."""
        del reference
        mse = errors_of(batch, outputs[self.index]).square().mean(1)
        decibels = 10.0 * torch.log10(self.peak**2 / mse.clamp_min(self.peak**2 * 1e-10))
        return torch.stack([decibels, torch.ones_like(decibels)], 1)

    def figure(self, *, reference: Table, simulated: Table) -> Figure:
        return mean_figure(self.criterion, reference=reference, simulated=simulated)

    def gain(self, *, before: Table, after: Table) -> Gain:
        return mean_gain(self.criterion, before=before, after=after)


@dataclass(frozen=True)
class Cosine(RowTask):
    """Cosine between each embedding and its target: the target given, or the float network's own embedding."""

    index: int
    is_against_float: bool = True

    @property
    def criterion(self) -> Criterion:
        return Criterion("cosine", "", "", True, _COSINE_LIMIT, _COSINE_LIMIT, is_against_float=self.is_against_float)

    def rows(self, batch: Batch, outputs: tuple[Any, ...], reference: tuple[Any, ...]) -> Tensor:
        """The cosine of each sample and 1, (N, 2); between two zero vectors it is 1."""
        own = _flat(outputs[self.index])
        other = _flat(reference[self.index]) if self.is_against_float else _targets(batch, own)
        norms = own.norm(dim=1) * other.norm(dim=1)
        cosine = torch.where(norms > 0.0, (own * other).sum(1) / norms.clamp_min(1e-300), 0.0)
        cosine = torch.where((own == other).all(1), 1.0, cosine)
        cosine = torch.where(torch.isfinite(own).all(1) & torch.isfinite(other).all(1), cosine, torch.nan)
        return torch.stack([cosine, torch.ones_like(cosine)], 1)

    def figure(self, *, reference: Table, simulated: Table) -> Figure:
        return mean_figure(self.criterion, reference=reference, simulated=simulated)

    def gain(self, *, before: Table, after: Table) -> Gain:
        return mean_gain(self.criterion, before=before, after=after)


def _flat(x: Tensor) -> Tensor:
    return x.double().reshape(x.shape[0], -1)


def _targets(batch: Batch, own: Tensor) -> Tensor:
    targets = batch.labels
    assert isinstance(targets, Tensor)
    found = _flat(targets.to(own.device))
    if found.shape != own.shape:
        raise TargetError(
            f"targets have {found.shape[1]} numbers per sample, the network gives {own.shape[1]}",
            sample=0,
            hint="give targets of the shape of the judged output",
        )
    return found


def errors_of(batch: Batch, output: Tensor) -> Tensor:
    """Output minus targets, (N, numbers of a sample), float64.

    Raises:
        TargetError: they have not the same number of numbers.
    """
    own = _flat(output)
    return own - _targets(batch, own)


def _root_of_mean(sums: Table) -> Table:
    root: Table = np.sqrt(sums[:, 0] / np.maximum(sums[:, 1], 1.0))
    return root
