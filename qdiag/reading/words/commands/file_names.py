"""Whether a quantized file is repaired, and what the repaired one is called."""

from pathlib import PurePath

from qdiag.core.causes.ranking import Ranking


def changes_file(ranking: Ranking) -> bool:
    """Something that can be written into a quantized file recovers accuracy."""
    has_way = ranking.way_around is not None and bool(ranking.way_around.settings)
    return bool(ranking.waterfall) or has_way


def fixed_file(path: str) -> str:
    """`models/int8.fixed.onnx`, beside `models/int8.onnx`."""
    own = PurePath(path)
    return str(own.with_name(f"{own.stem}.fixed{own.suffix}"))
