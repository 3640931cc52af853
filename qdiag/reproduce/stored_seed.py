"""Finished seeds as bytes, so that an experiment that was stopped goes on with the next one."""

import json
from dataclasses import asdict

from qdiag.core.reproductions.seeds import Curve, Diverged, Measured, Place, SeedResult
from qdiag.simulate.passes.pass_cache import Codec

_TIMES = ("seconds", "cpu_seconds")


def _encoded(result: SeedResult) -> bytes:
    return json.dumps(asdict(result)).encode()


def _decoded(data: bytes) -> SeedResult:
    plain = json.loads(data)
    measured = tuple(Measured(Place(**found["place"]), found["value"]) for found in plain["measured"])
    curves = tuple(
        Curve(found["drawing"], found["row"], tuple(found["values"]), tuple(found["labels"]))
        for found in plain["curves"]
    )
    diverged = tuple(Diverged(**found) for found in plain["diverged"])
    seconds, cpu_seconds = (plain[name] for name in _TIMES)
    return SeedResult(plain["seed"], measured, curves, plain["trained_epochs"], seconds, cpu_seconds, diverged)


SEEDS = Codec(_encoded, _decoded)
EPOCHS: Codec[int] = Codec(lambda epochs: str(epochs).encode(), int)
