"""Which layer of a sensitivity sweep costs most."""

import math
from dataclasses import replace

from tests.diagnoses import diagnosis


def test_layers_whose_output_is_not_finite_come_first() -> None:
    sweep = diagnosis().sensitivity
    assert sweep is not None
    ordered = sweep.most_sensitive
    last = ordered[-1]
    assert last.alone is not None and len(ordered) > 2
    broken = replace(last, alone=replace(last.alone, outputs=()))
    assert broken.alone is not None and math.isnan(broken.alone.output_sqnr_db)
    rows = tuple(broken if row is last else row for row in sweep.rows)
    assert replace(sweep, rows=rows).most_sensitive == (broken, *ordered[:-1])
