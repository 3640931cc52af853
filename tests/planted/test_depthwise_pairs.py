"""Depthwise kernels of fbgemm add pairs of products in int16: found, and repaired by 7 bits on one side."""

from dataclasses import replace

import torch
from torch import nn

from qdiag.config import load_preset
from tests.planted.diagnosing import diagnosis, finding
from tests.planted.fault import Network
from tests.planted.networks import DATA, Chain, build, settle

FBGEMM = replace(load_preset("int8"), arithmetic="fbgemm")
ALIKE, APART = (1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 0.5), (1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 0.5)
"""Filters row by row: the two products of a pair have one sign, or two."""


class Padded(Chain):
    """Its depthwise convolution keeps the size of the image, for which fbgemm has a kernel of its own."""

    def __init__(self) -> None:
        super().__init__(activation=nn.ReLU6, depthwise=True)
        self.body[0].padding = (1, 1)


def filtered(taps: tuple[float, ...]) -> Chain:
    model = build(Padded)
    with torch.no_grad():
        model.body[0].weight.copy_(torch.tensor(taps).view(1, 1, 3, 3).expand(16, 1, 3, 3))
    return settle(model, std=8.0)


SICK, TWIN = (Network(lambda taps=taps: filtered(taps), FBGEMM, DATA) for taps in (ALIKE, APART))  # type: ignore[misc]


def test_pairs_that_saturate_are_found_and_repaired_by_7_bits() -> None:
    found = diagnosis(SICK)
    named = finding(found, "QD602")
    assert named is not None
    (site,) = [site for site in named.sites if site.layer == "body.0"]
    share = next(one.value for one in site.evidence if one.name == "saturated_sums")
    record = next(one for one in found.measurement.records if one.name == "body.0")
    assert record.pairs is not None and share == 100.0 * record.pairs.saturated_share
    assert share > 5.0
    assert any("saturate in body.0" in note for note in found.measurement.notes)
    cause = found.ranking.causes[0]
    assert (cause.code, cause.verdict) == ("QD602", "cause")
    by_repair = {one.repair: one.recovery for one in cause.trials}
    for repair in ("reduce_weight_bits", "reduce_activation_bits"):
        recovery = by_repair[repair]
        assert recovery is not None and recovery.recovered_task >= 0.6 * found.ranking.harm.value, repair
    refused = next(one.refused for one in cause.trials if one.repair == "wide_accumulator")
    assert refused is not None and "depthwise kernels of fbgemm add pairs in int16" in refused  # no setting ends that


def test_a_network_whose_pairs_cancel_is_left_in_peace() -> None:
    found = diagnosis(TWIN)
    assert finding(found, "QD602") is None
    assert not any("leave int16" in note for note in found.measurement.notes)
