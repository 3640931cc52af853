"""Results as JSON and back. Sums and counts are stored, so the round trip is exact; decibels stand beside them."""

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from qdiag.core.bn import BatchNormAudit, BatchNormRecord, DeadChannel, GainOutlier
from qdiag.core.error_sums import ErrorSums
from qdiag.core.fix import BatchNormFix, FloatChange
from qdiag.core.measurement import SCHEMA_VERSION, Measurement
from qdiag.core.ranges import ChannelRanges
from qdiag.core.ranges_report import RangeReport
from qdiag.core.records import OpRecord
from qdiag.core.task import PairedCounts
from qdiag.errors import ConfigError, LoadError
from qdiag.writers.layer_row import layer_rows
from qdiag.writers.plain_json import dump, to_plain

_DERIVED: dict[type, Sequence[str]] = {
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

_Result = TypeVar("_Result", Measurement, RangeReport, BatchNormFix, BatchNormAudit)


def to_json(measurement: Measurement) -> str:
    """The measurement, field by field; equal measurements give equal bytes.

    Infinite and undefined values are written as the strings "Infinity", "-Infinity" and "NaN".
    """
    plain = to_plain(measurement, _DERIVED)
    for row, record in zip(layer_rows(measurement.records), plain["records"], strict=True):
        record["drop_db"] = to_plain(row.drop_db, _DERIVED)
    return dump(plain) + "\n"


def from_json(text: str) -> Measurement:
    """What `to_json` wrote; derived figures in the text are ignored.

    Raises:
        LoadError: not JSON, not a measurement, or written by a newer version.
    """
    return _read(text, TypeAdapter(Measurement), "measurement")


def ranges_to_json(report: RangeReport) -> str:
    """The report, field by field; equal reports give equal bytes."""
    return dump(to_plain(report, _DERIVED)) + "\n"


def ranges_from_json(text: str) -> RangeReport:
    """What `ranges_to_json` wrote.

    Raises:
        LoadError: not JSON, not a report, or written by a newer version.
    """
    return _read(text, TypeAdapter(RangeReport), "range report")


def fix_to_json(fix: BatchNormFix) -> str:
    """The repair with every channel and both measurements, field by field; equal repairs give equal bytes."""
    return dump(to_plain(fix, _DERIVED)) + "\n"


def fix_from_json(text: str) -> BatchNormFix:
    """What `fix_to_json` wrote.

    Raises:
        LoadError: not JSON, not a repair, or written by a newer version.
    """
    return _read(text, TypeAdapter(BatchNormFix), "repair of BatchNorms")


def bn_to_json(audit: BatchNormAudit) -> str:
    """The audit, field by field; equal audits give equal bytes."""
    return dump(to_plain(audit, _DERIVED)) + "\n"


def bn_from_json(text: str) -> BatchNormAudit:
    """What `bn_to_json` wrote.

    Raises:
        LoadError: not JSON, not an audit, or written by a newer version.
    """
    return _read(text, TypeAdapter(BatchNormAudit), "BatchNorm audit")


def _read(text: str, adapter: "TypeAdapter[_Result]", what: str) -> _Result:
    try:
        result = adapter.validate_json(text)
    except ValidationError as error:
        first: Any = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LoadError(f"not a {what} written by qdiag: {first['msg']}", at=where or None) from None
    except ConfigError as error:
        raise LoadError(f"the stored scheme makes no sense: {error}", at="scheme") from None
    if result.schema_version > SCHEMA_VERSION:
        raise LoadError(
            f"written in form {result.schema_version}, and this qdiag reads up to {SCHEMA_VERSION}",
            at="schema_version",
            hint="update qdiag",
        )
    return result
