"""A measurement as JSON and back. Sums and counts are stored, so the round trip is exact; decibels stand beside."""

from collections.abc import Sequence

from pydantic import TypeAdapter

from qdiag.core.causes.repair import FloatChange
from qdiag.core.measures.bn import BatchNormAudit, BatchNormRecord, DeadChannel, GainOutlier
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.float_ops import FloatShare
from qdiag.core.measures.measurement import SCHEMA_VERSION, Measurement
from qdiag.core.measures.preprocessing import NormInput, PreprocessingCheck
from qdiag.core.measures.ranges import ChannelRanges
from qdiag.core.measures.records import OpRecord
from qdiag.core.measures.size import NetworkBytes, NetworkSize
from qdiag.core.measures.task import Figure, PairedCounts
from qdiag.reading.words.layer_row import layer_rows
from qdiag.writers.json.read import read_json
from qdiag.writers.plain_json import dump, to_plain

DERIVED: dict[type, Sequence[str]] = {
    ErrorSums: ("sqnr_db", "signal_power", "mse", "cosine", "mean_shift", "bias_fraction"),
    OpRecord: ("expected_sqnr_db", "clipped_fraction", "local_rmse_scales", "propagated_rmse_scales"),
    PairedCounts: ("sample_count", "reference_percent", "simulated_percent", "drop_pp", "drop_interval_pp"),
    Figure: ("loss", "limit"),
    ChannelRanges: ("spread_bits",),
    DeadChannel: ("sets_range",),
    GainOutlier: ("sets_range",),
    BatchNormRecord: (
        "label",
        "gain_median_abs",
        "gain_max_abs",
        "scale_channel",
        "effective_bits",
        "median_effective_bits",
        "dead_range_blowup",
    ),
    BatchNormAudit: ("dead_count",),
    FloatChange: ("max_abs_delta",),
    NetworkBytes: ("stored",),
    NetworkSize: ("compression", "saved_fraction"),
    FloatShare: ("is_beyond_limit",),
    NormInput: ("distance", "is_as_trained"),
    PreprocessingCheck: ("is_as_trained", "is_doubtful", "float_percent", "better"),
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
