"""What is said of inputs of which much lies outside the range."""

from dataclasses import replace

import torch

from qdiag.batches import Datasets
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.notes import notes_on
from tests.deployed_diagnosis import deployed_diagnosis


def test_a_range_in_a_file_is_not_said_to_be_calibrated_here() -> None:
    found = deployed_diagnosis().measurement
    first = found.records[0]
    assert first.kind == "input" and first.quantizer is not None
    clipped = replace(first, clipped_count=first.local.count // 10)
    found = replace(found, records=(clipped, *found.records[1:]))
    few = batches_from(torch.zeros(4, 1), 4)

    def notes(result: object) -> list[str]:
        said = notes_on(result, Datasets(few, few, ""), constant_count=0)  # type: ignore[arg-type]
        return [note for note in said if "values lie outside" in note]

    (own,), (of_file,) = notes(replace(found, deployed=None)), notes(found)
    assert own.endswith("10.0 % of the values lie outside the calibrated range; are these other data?")
    assert of_file.endswith("10.0 % of the values lie outside the range in the file; was it made with other data?")
