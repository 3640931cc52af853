from dataclasses import replace

import pytest

from qdiag.config import load_preset, load_scheme
from qdiag.reading.words.layers import arithmetic_words, drop_common_prefix, op_words, shorten, tensor_scheme_words
from tests.measurements import layer, small_records


def test_operations_name_kernel_groups_and_what_is_fused() -> None:
    words = {record.name: op_words(record) for record in small_records()}
    assert words["input:x"] == "input"
    assert words["stem.conv"] == "conv 3x3 + relu6"
    assert words["blocks.0.dw"] == "conv 3x3 dw + relu6"
    assert words["blocks.0.pw"] == "conv 1x1"
    assert words["head"] == "linear"
    whole = layer(1, "g", ("conv2d",), ("stem.conv",), weight_shape=(8, 4, 5, 5), local_db=1.0, propagated_db=1.0)
    assert op_words(whole) == "conv 5x5"  # what feeds it may have more channels than it reads, as after a split
    grouped = replace(whole, groups=4)
    assert op_words(grouped) == "conv 5x5 g4"
    in_place = replace(grouped, ops=("conv_transpose2d", "hardtanh_"), kind="conv_transpose")
    assert op_words(in_place) == "conv-t 5x5 g4 + clamp"


def test_schemes_in_resolved_words() -> None:
    scheme = load_preset("tf-uint8")
    assert tensor_scheme_words(scheme.weights) == "uint8 [0, 255] affine per tensor, min-max"
    assert arithmetic_words(scheme) == "bias int32, 32-bit accumulator, BatchNorm folded"
    other = load_scheme(
        "x86-reduce-range",
        [
            *("weights.granularity=per_group", "weights.group_size=64", "weights.calibrator=percentile"),
            *("activations.bits=32", "fold_batchnorm=false", "float_layers=['head']"),
        ],
    )
    assert tensor_scheme_words(other.weights) == "int8 [-128, 127] symmetric per group of 64, percentile 99.99"
    assert tensor_scheme_words(other.activations) == "float"
    assert arithmetic_words(other) == "bias float, sums in float, BatchNorm not folded, float: head"


@pytest.mark.parametrize("width", range(1, 12))
def test_shortened_names_keep_both_ends_and_never_exceed_the_width(width: int) -> None:
    short = shorten("features.17.conv", width)
    assert len(short) == width
    if width >= 4:
        assert short[0] == "f"
        assert short.endswith("nv")


def test_a_common_prefix_is_dropped_but_the_last_part_stays() -> None:
    assert drop_common_prefix(["net.a.x", "net.a.y", "net.b.x"]) == ["a.x", "a.y", "b.x"]
    assert drop_common_prefix(["net.a", "net.a.b"]) == ["a", "a.b"]
    assert drop_common_prefix(["only.one"]) == ["one"]
    assert drop_common_prefix([]) == []
