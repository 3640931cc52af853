"""Results of passes as bytes and back, exactly and without pickle: JSON, and numpy arrays beside it."""

import io
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from qdiag.core.causes.score import Score
from qdiag.simulate.calibrate import Observation
from qdiag.simulate.passes.pass_cache import Codec
from qdiag.simulate.task.scoring import Scored
from qdiag.simulate.task.tasks import Tasks

Array = npt.NDArray[Any]

_META = "meta"


def json_codec(kind: Any) -> Codec[Any]:
    """Of dataclasses of plain numbers, and of tuples and mappings of them."""
    return Codec(lambda value: zlib.compress(_text(kind, value), 1), lambda data: _value(kind, zlib.decompress(data)))


def _text(kind: Any, value: object) -> bytes:
    plain = _adapter(kind).dump_python(value)
    return json.dumps(plain, separators=(",", ":")).encode()  # NaN and Infinity as Python's own reader takes them


def _value(kind: Any, text: bytes) -> Any:
    return _adapter(kind).validate_python(json.loads(text))


@cache
def _adapter(kind: Any) -> "TypeAdapter[Any]":
    return TypeAdapter(kind)


OBSERVATIONS: Codec[Mapping[str, Observation]] = json_codec(dict[str, Observation])
SUMS: Codec[Mapping[str, float]] = json_codec(dict[str, float])
COLUMNS: Codec[dict[str, list[float]]] = json_codec(dict[str, list[float]])


class _ArrayPool:
    """Arrays by number, equal ones once: every variant has the reference's signal."""

    def __init__(self) -> None:
        self.arrays: list[Array] = []
        self._places: dict[tuple[str, tuple[int, ...], bytes], int] = {}

    def add(self, array: Array | None) -> int | None:
        if array is None:
            return None
        at = (array.dtype.str, array.shape, array.tobytes())
        if at not in self._places:
            self._places[at] = len(self.arrays)
            self.arrays.append(array)
        return self._places[at]


def encode_scores(scores: Sequence[Scored], counts: Sequence[int]) -> bytes:
    """Scores of one pass, and whole numbers about the pass itself."""
    pool = _ArrayPool()
    rows = [
        {
            "score": asdict(one.score),
            "noise": [(*at, pool.add(powers)) for at, powers in one.noise.items()],
            "signal": [(*at, pool.add(powers)) for at, powers in one.signal.items()],
            "tables": None if one.tables is None else [pool.add(table) for table in one.tables],
            "relative_delta": one.relative_delta,
        }
        for one in scores
    ]
    meta = np.frombuffer(json.dumps({"rows": rows, "counts": list(counts)}).encode(), dtype=np.uint8)
    file = io.BytesIO()
    arrays: dict[str, Any] = {_META: meta, **{f"a{i}": array for i, array in enumerate(pool.arrays)}}
    np.savez(file, **arrays)
    return file.getvalue()


def decode_scores(data: bytes, tasks: Tasks) -> tuple[list[Scored], list[int]]:
    """What `encode_scores` wrote, of networks judged by `tasks`.

    Raises:
        ValueError, KeyError, zipfile.BadZipFile: something else.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        meta = json.loads(stored[_META].tobytes())
        arrays = {name: stored[name] for name in stored.files}

    def powers(rows: Sequence[Sequence[int]]) -> dict[tuple[int, int], Array]:
        return {(output, part): _typed(arrays[f"a{at}"], np.float64) for output, part, at in rows}

    def tables(places: Sequence[int] | None) -> tuple[Array, Array] | None:
        if places is None:
            return None
        reference, simulated = (_typed(arrays[f"a{place}"], np.float64, 2) for place in places)
        return reference, simulated

    scores = [
        Scored(
            score=_adapter(Score).validate_python(row["score"]),
            noise=powers(row["noise"]),
            signal=powers(row["signal"]),
            tasks=tasks,
            tables=tables(row["tables"]),
            relative_delta=float(row["relative_delta"]),
        )
        for row in meta["rows"]
    ]
    return scores, [int(count) for count in meta["counts"]]


def _typed(array: Array, kind: type, ndim: int = 1) -> Array:
    if array.dtype != kind or array.ndim != ndim:
        raise ValueError(f"an array of {array.dtype} where {np.dtype(kind)} belongs")
    return array
