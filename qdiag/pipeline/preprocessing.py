"""Are the inputs prepared as in training? Asked before anything else is blamed for a bad result."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from qdiag.batches import Batch, Batches
from qdiag.batchnorms.first import FirstNorms, first_norms
from qdiag.capture.program import Program, Runner
from qdiag.core.measures.outcomes import unpack_bits
from qdiag.core.measures.preprocessing import (
    POOR_PERCENT,
    SAMPLES_MIN,
    NormInput,
    PreprocessingCheck,
    PreprocessingTrial,
)
from qdiag.core.measures.task import TOP_1, PairedCounts, TaskResult
from qdiag.errors import QdiagError
from qdiag.loaders.data.reread import few_of, few_places, pixels_of
from qdiag.loaders.images.alternatives import Settings, alternatives
from qdiag.loaders.images.preprocessing import Preprocessing
from qdiag.numerics.layout import some_rows
from qdiag.numerics.norm_input import ChannelMoments, live_channels, statistics_distance
from qdiag.simulate.case import Case
from qdiag.simulate.passes.network import Network, place
from qdiag.simulate.passes.pass_cache import Codec
from qdiag.simulate.passes.pass_values import json_codec
from qdiag.simulate.session import Session
from qdiag.simulate.sweeps.losses import VALUES_PER_IMAGE
from qdiag.simulate.task.classes import class_numbers
from qdiag.simulate.task.top_k import is_in_top

SAMPLES = 64
"""At most this many are looked at, once for each preprocessing."""

_CHECK: Codec[PreprocessingCheck | None] = json_codec(PreprocessingCheck | None)


def check_preprocessing(session: Session, case: Case, task: TaskResult) -> PreprocessingCheck | None:
    """What reaches the first BatchNorms against their running statistics, and whether another preprocessing fits.

    The layers before the first BatchNorm run once over a few calibration samples, and of large images some rows of what
    they give are looked at. Other preprocessings are tried, each
    on the same few measured samples, where images are read through the options for it, and either these statistics
    differ, or the labels are class numbers and float top-1 is below `POOR_PERCENT`. This costs no more than one float
    pass over `SAMPLES` samples for each.

    Args:
        task: what was measured of the case, which holds the float network's answers.

    Returns:
        None for drawn inputs, and where there is nothing to judge by: neither such a BatchNorm nor class numbers.
    """
    if case.measured.is_data_free or case.calibration.is_data_free:
        return None
    with session.stage("preprocessing"), torch.no_grad():
        return session.passes.finished(
            "preprocessing",
            _CHECK,
            lambda: _Check(case, task, session.device).run(),
            batches=[case.calibration, case.measured],
            depends_on=(case.program, repr(case.tasks.logits), case.tasks.is_labelled),
        )


class _Check:
    def __init__(self, case: Case, task: TaskResult, device: torch.device) -> None:
        self._case, self._task, self._device = case, task, device
        self._first = first_norms(case.program)
        self._count = max(SAMPLES, case.program.batch_size or 0)

    def run(self) -> PreprocessingCheck | None:
        """The figures as it is, and the trials where there is reason for them."""
        calibration = few_of(self._case.calibration, self._count) or self._case.calibration
        count, norms = self._norm_inputs(calibration)
        farthest_first = sorted(norms, key=lambda norm: math.inf if math.isnan(norm.distance) else -norm.distance)
        found = PreprocessingCheck(count, tuple(farthest_first))
        pixels = pixels_of(self._case.measured)
        is_labelled = self._case.tasks.is_labelled
        if found.is_as_trained and not (is_labelled and pixels is not None):
            return found if norms else None
        is_right = self._right_now() if is_labelled else None
        if is_right is not None:
            found = replace(found, right_count=int(is_right.sum()), labelled_count=len(is_right))
        is_poor = found.float_percent is not None and found.float_percent < POOR_PERCENT
        if pixels is not None and (is_poor or not found.is_as_trained):
            tried = [self._trial(settings, how, found, is_right) for settings, how in alternatives(pixels.now).items()]
            found = replace(found, trials=tuple(trial for trial in tried if trial is not None))
        return found if norms or found.labelled_count else None

    def _trial(
        self, settings: Settings, how: Preprocessing, now: PreprocessingCheck, is_right: Tensor | None
    ) -> PreprocessingTrial | None:
        """None where the preprocessing does not fit the images or the network."""
        try:
            few = few_of(self._case.calibration, self._count, how)
            norms = self._norm_inputs(few)[1] if few is not None else ()
            measured = few_of(self._case.measured, self._count, how) if is_right is not None else None
            other = self._right(measured) if measured is not None else None
        except QdiagError:
            return None
        worst = next((norm for norm in norms if now.worst is not None and norm.name == now.worst.name), None)
        return PreprocessingTrial(settings, worst, _paired(reference=other, simulated=is_right))

    def _norm_inputs(self, batches: Batches) -> tuple[int, tuple[NormInput, ...]]:
        """How many samples were looked at, and what they are at the first BatchNorms."""
        first = self._first
        if first is None:
            return 0, ()
        moments = [ChannelMoments() for _ in first.norms]
        count = 0
        for batch, inputs in self._run(first.program, batches):
            count += batch.sample_count
            for one, x in zip(moments, inputs, strict=True):
                one.add(some_rows(x, VALUES_PER_IMAGE))
        return count, tuple(_norm_inputs(first, moments)) if count >= SAMPLES_MIN else ()

    def _right_now(self) -> Tensor | None:
        """As `_right`, on the few measured samples; not run again where the answers of all samples were kept."""
        figure, measured = self._task.figure(TOP_1.name), self._case.measured
        places = few_places(measured, self._count)
        kept = figure.outcomes if figure is not None else None
        bits = unpack_bits(kept.reference, kept.count) if kept is not None and kept.are_bits else None
        if places is not None and kept is not None and bits is not None and kept.count == measured.sample_count:
            return torch.tensor([bool(bits >> place & 1) for place in places])
        return self._right(few_of(measured, self._count) or measured)

    def _right(self, batches: Batches) -> Tensor | None:
        """Whether the float network is right on each sample, (N,), bool; None without logits."""
        found = []
        for batch, outputs in self._run(self._case.program, batches):
            logits = self._case.tasks.logits_of(outputs)
            if logits is None:
                return None
            found.append(is_in_top(logits, class_numbers(batch).to(logits.device), 1).cpu())
        return torch.cat(found) if found else None

    def _run(self, program: Program, batches: Batches) -> Iterator[tuple[Batch, tuple[Any, ...]]]:
        """The outputs of a program on the first batches of up to the wanted number of samples."""
        constants = {name: place(value, self._device) for name, value in program.constants.items()}
        runner = Runner(replace(program, constants=constants))
        network = Network(runner.program, self._case.network.graph, self._device)
        count = 0
        for batch in batches:
            placed = network.placed(batch)
            yield batch, runner(placed.args, placed.kwargs)
            count += batch.sample_count
            if count >= self._count:
                return


def _norm_inputs(first: FirstNorms, moments: list[ChannelMoments]) -> Iterator[NormInput]:
    for norm, seen in zip(first.norms, moments, strict=True):
        shift, ratio = statistics_distance(seen, norm.mean, norm.variance)
        yield NormInput(norm.name, int(live_channels(norm.variance).sum()), shift, ratio)


def _paired(*, reference: Tensor | None, simulated: Tensor | None) -> PairedCounts | None:
    if reference is None or simulated is None or len(reference) != len(simulated):
        return None
    return PairedCounts(
        both=int((reference & simulated).sum()),
        reference_only=int((reference & ~simulated).sum()),
        simulated_only=int((~reference & simulated).sum()),
        neither=int((~reference & ~simulated).sum()),
    )
