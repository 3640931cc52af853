"""Results as JSON and back. Sums and counts are stored, so the round trip is exact; decibels stand beside them."""

from collections.abc import Sequence

from pydantic import TypeAdapter

from qdiag.core.causes.fix import BatchNormFix, FloatChange
from qdiag.core.causes.repair import ModelRepair
from qdiag.core.measures.bn import BatchNormAudit, BatchNormRecord, DeadChannel, GainOutlier
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.measurement import SCHEMA_VERSION, Measurement
from qdiag.core.measures.ranges import ChannelRanges
from qdiag.core.measures.ranges_report import RangeReport
from qdiag.core.measures.records import OpRecord
from qdiag.core.measures.task import PairedCounts
from qdiag.writers.json.plain import dump, to_plain
from qdiag.writers.json.read import read_json
from qdiag.writers.words.layer_row import layer_rows

DERIVED: dict[type, Sequence[str]] = {
    ErrorSums: ("sqnr_db", "signal_power", "mse", "cosine", "mean_shift", "bias_fraction"),
    OpRecord: ("expected_sqnr_db", "clipped_fraction", "local_rmse_scales", "propagated_rmse_scales"),
    PairedCounts: ("sample_count", "reference_percent", "simulated_percent", "drop_pp", "drop_interval_pp"),
    ChannelRanges: ("spread_bits",),
    DeadChannel: ("sets_range",),
    GainOutlier: ("sets_range",),
    BatchNormRecord: (
        *("label", "gain_median_abs", "gain_max_abs", "scale_channel", "effective_bits", "median_effective_bits"),
        "dead_range_blowup",
    ),
    BatchNormAudit: ("dead_count",),
    FloatChange: ("max_abs_delta",),
}
"""Properties written beside the stored fields."""


def to_json(measurement: Measurement) -> str:
    """The measurement, field by field; equal measurements give equal bytes.

    Infinite and undefined values are written as the strings "Infinity", "-Infinity" and "NaN".
    """
    plain = to_plain(measurement, DERIVED)
    for row, record in zip(layer_rows(measurement.records), plain["records"], strict=True):
        record["drop_db"] = to_plain(row.drop_db, DERIVED)
    return dump(plain) + "\n"


def from_json(text: str) -> Measurement:
    """What `to_json` wrote; derived figures in the text are ignored.

    Raises:
        LoadError: not JSON, not a measurement, or written by a newer version.
    """
    return read_json(text, TypeAdapter(Measurement), "measurement", SCHEMA_VERSION)


def ranges_to_json(report: RangeReport) -> str:
    """The report, field by field; equal reports give equal bytes."""
    return dump(to_plain(report, DERIVED)) + "\n"


def ranges_from_json(text: str) -> RangeReport:
    """What `ranges_to_json` wrote.

    Raises:
        LoadError: not JSON, not a report, or written by a newer version.
    """
    return read_json(text, TypeAdapter(RangeReport), "range report", SCHEMA_VERSION)


def fix_to_json(fix: BatchNormFix) -> str:
    """The repair with every channel and both measurements, field by field; equal repairs give equal bytes."""
    return dump(to_plain(fix, DERIVED)) + "\n"


def fix_from_json(text: str) -> BatchNormFix:
    """What `fix_to_json` wrote.

    Raises:
        LoadError: not JSON, not a repair, or written by a newer version.
    """
    return read_json(text, TypeAdapter(BatchNormFix), "repair of BatchNorms", SCHEMA_VERSION)


def repair_to_json(repair: ModelRepair) -> str:
    """The repairs with both measurements, field by field; equal results give equal bytes."""
    return dump(to_plain(repair, DERIVED)) + "\n"


def repair_from_json(text: str) -> ModelRepair:
    """What `repair_to_json` wrote.

    Raises:
        LoadError: not JSON, not a repair, or written by a newer version.
    """
    return read_json(text, TypeAdapter(ModelRepair), "repair of a model", SCHEMA_VERSION)


def bn_to_json(audit: BatchNormAudit) -> str:
    """The audit, field by field; equal audits give equal bytes."""
    return dump(to_plain(audit, DERIVED)) + "\n"


def bn_from_json(text: str) -> BatchNormAudit:
    """What `bn_to_json` wrote.

    Raises:
        LoadError: not JSON, not an audit, or written by a newer version.
    """
    return read_json(text, TypeAdapter(BatchNormAudit), "BatchNorm audit", SCHEMA_VERSION)
