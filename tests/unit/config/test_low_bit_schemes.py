"""Schemes of one and two bits: which fields go together, and what single layers may change."""

import pytest

from qdiag.config import load_scheme
from qdiag.core.scheme import TensorChange, TensorScheme
from qdiag.errors import ConfigError
from qdiag.reading.words.layers import tensor_scheme_words


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["weights.type=binary"], "bits = 8 with type = binary"),
        (["weights.bits=1"], "bits = 1"),
        (["weights.type=ternary", "weights.bits=1"], "bits = 1 with type = ternary"),
        (["weights.type=binary", "weights.bits=1", "weights.calibrator=mse"], "calibrator = mse with type = binary"),
        (
            ["weights.type=binary", "weights.bits=1", "weights.range=[-1.0,1.0]"],
            "range = [-1.0, 1.0] with type = binary",
        ),
        (["weights.type=binary", "weights.bits=1", "weights.scale=e8m0"], "scale = e8m0 with type = binary"),
        (
            ["weights.type=binary", "weights.bits=1", "weights.granularity=per_group", "weights.group_size=4"],
            "granularity = per_group with type = binary",
        ),
        (["weights.center=true"], "center = true with type = affine"),
        (["weights.stochastic_seed=1"], "stochastic_seed with type = affine"),
        (["weights.step=0.5"], "step = 0.5 with type = affine"),
        (["activations.type=ternary", "activations.bits=2"], "activations.type = ternary"),
        (
            ["activations.type=binary", "activations.bits=1", "activations.scale=float32"],
            "activations.type = binary with scale, center or stochastic_seed",
        ),
    ],
)
def test_what_contradicts_a_format_of_few_bits_is_refused(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_scheme("int8", settings)
    assert error.value.message.startswith(message)
    assert error.value.hint


def test_a_layer_goes_back_to_integers_without_what_only_signs_have() -> None:
    signs = TensorScheme(bits=1, type="binary", scale="float32", center=True, stochastic_seed=3)
    assert TensorChange(type="affine", bits=8).over(signs) == TensorScheme()
    assert TensorChange(type="ternary", bits=2).over(signs) == TensorScheme(type="ternary", bits=2)
    assert TensorChange(granularity="per_channel").over(signs).scale == "float32"


@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize("kind", ["binary", "ternary"])
def test_at_other_widths_they_are_integers(kind: str, bits: int) -> None:
    own = TensorScheme(bits=1 if kind == "binary" else 2, type=kind, granularity="per_channel")  # type: ignore[arg-type]
    assert own.at_bits(bits) == TensorScheme(bits=bits, granularity="per_channel")
    assert own.at_bits(own.bits) is own
    assert TensorScheme(bits=32).at_bits(bits).is_float


def test_words() -> None:
    binary = {"bits": 1, "type": "binary"}
    words = {
        "binary, +1 and -1": TensorScheme(**binary),  # type: ignore[arg-type]
        "binary, E|W| per channel, centred and clamped": TensorScheme(
            **binary,
            scale="float32",
            granularity="per_channel",
            center=True,  # type: ignore[arg-type]
        ),
        "binary, +1 and -1, drawn with seed 4": TensorScheme(**binary, stochastic_seed=4),  # type: ignore[arg-type]
        "ternary, E|W| per tensor": TensorScheme(bits=2, type="ternary"),
        "ternary, +1, 0 and -1": TensorScheme(bits=2, type="ternary", scale="none"),
        "4-bit linear per tensor, steps of 0.125, range -1 to 0.875": TensorScheme(
            bits=4, type="linear", step=0.125, range=(-1.0, 0.875)
        ),
    }
    for expected, scheme in words.items():
        assert tensor_scheme_words(scheme) == expected
