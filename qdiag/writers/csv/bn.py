"""The BatchNorm audit as CSV: one row per channel, units in the column names."""

import pandas as pd

from qdiag.core.measures.bn import BatchNormAudit, BatchNormRecord
from qdiag.writers.csv.text import csv_text, known


def bn_frame(audit: BatchNormAudit) -> pd.DataFrame:
    """One row per channel in graph order; what is not known (no layer, no statistics) is missing."""
    return pd.DataFrame([row for record in audit.records for row in _rows(record)])


def bn_csv(audit: BatchNormAudit) -> str:
    """`bn_frame` as text; infinite values are `inf`, missing ones are empty."""
    return csv_text(bn_frame(audit))


def _rows(record: BatchNormRecord) -> list[dict[str, object]]:
    dead = {found.channel: found for found in record.dead}
    outliers = {found.channel: found for found in record.outliers}
    bits = record.effective_bits
    rows: list[dict[str, object]] = []
    for c in range(record.channels):
        evidence = dead.get(c)
        rows.append(
            {
                "batchnorm": record.label,
                "layer": record.layer.name if record.layer else None,
                "direction": record.layer.direction if record.layer else None,
                "paired_by": record.layer.paired_by if record.layer else None,
                "certainty": record.layer.certainty if record.layer else None,
                "channel": c,
                "eps": record.eps,
                "variance": record.variance[c] if record.variance else None,
                "gain": record.gain[c] if record.gain else None,
                "folded_max_abs": record.folded_max_abs[c] if record.folded_max_abs else None,
                "effective_bits": bits[c] if bits else None,
                "dead": evidence.evidence if evidence else None,
                "range_over_live": known(evidence.range_over_live) if evidence else None,
                "gain_over_median": outliers[c].gain_over_median if c in outliers else None,
                "skip_reason": record.skip_reason,
            }
        )
    return rows
