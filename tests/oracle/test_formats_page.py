"""The worked numbers of docs/formats.md on floats, blocks and groups, computed anew, and that the page has them."""

import math
from pathlib import Path

import pytest
import torch

from qdiag.calibrators import CALIBRATORS
from qdiag.config import load_preset
from qdiag.core.formats.float_format import FLOAT_FORMATS
from qdiag.core.scheme import TensorScheme
from qdiag.numerics.float_rounding import round_to_format
from qdiag.numerics.quantizers.block_float import BlockFloat

TEXT = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8").replace("\N{MINUS SIGN}", "-")
PAGE = " ".join(TEXT.split())


def rounded(value: float, name: str, *, saturates: bool = False) -> float:
    return float(round_to_format(torch.tensor(value), FLOAT_FORMATS[name], saturates=saturates))  # type: ignore[index]


def test_the_table_of_floats() -> None:
    rows = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if line.startswith("| `")]
    table = {row[0].strip("`"): row for row in rows if row[0].strip("`") in FLOAT_FORMATS and len(row) == 8}
    assert set(table) == set(FLOAT_FORMATS)
    for name, (_, bits, parts, largest, normal, smallest, count, beyond) in table.items():
        one = FLOAT_FORMATS[name]  # type: ignore[index]
        assert (int(bits), parts) == (one.bits, f"{one.exponent_bits}, {one.mantissa_bits}")
        assert float(largest) == pytest.approx(one.largest, rel=1e-3)
        assert number(normal) == math.ldexp(1.0, one.least_exponent)
        assert number(smallest) == one.smallest
        assert int(count) == 2 * len(one.magnitudes) - 1
        assert beyond == {"none": "always the largest", "nan": "NaN", "inf": "infinity"}[one.specials]


def number(text: str) -> float:
    base, power, exponent = text.partition("^")
    return float(base) ** int(exponent) if power else float(base)


def test_rounding_and_overflow() -> None:
    assert "2.5 becomes 2 in `e2m1`, 3.5 becomes 4, 0.25 becomes 0" in PAGE
    assert [rounded(x, "e2m1") for x in (2.5, 3.5, 0.25)] == [2.0, 4.0, 0.0]
    assert "464 still becomes 448 in `e4m3`, 464.1 becomes NaN" in PAGE
    assert rounded(464.0, "e4m3") == 448.0
    assert math.isnan(rounded(464.1, "e4m3"))
    assert "about 6.02 · M + 14 dB below the values, 32 dB in `e4m3`" in PAGE
    x = torch.exp2(torch.rand(200_000, generator=torch.Generator().manual_seed(0)) * 8.0 - 4.0)
    for name in ("e2m3", "e3m2", "e4m3", "e5m2", "float16"):
        one = FLOAT_FORMATS[name]  # type: ignore[index]
        inside = x[(x < one.largest) & (x > 2.0**one.least_exponent)]
        error = (round_to_format(inside.clone(), one, saturates=True).double() - inside.double()).square().sum()
        db = 10.0 * math.log10(float(inside.double().square().sum() / error))
        assert db == pytest.approx(6.02 * one.mantissa_bits + 14.0, abs=0.8)


def test_blocks() -> None:
    x = torch.tensor([7.0, -2.4, 0.3, 0.2])
    assert "A block with 7, -2.4, 0.3 and 0.2 has s = 1 and becomes 6, -2, 0.5 and 0." in PAGE
    mx = BlockFloat.from_range(torch.tensor(-7.0), torch.tensor(7.0), load_preset("mxfp4").weights)
    assert mx.in_blocks(x, 0).tolist() == [6.0, -2.0, 0.5, 0.0]
    assert "s = 7 / 6 = 1.1667, which is 1.125 in E4M3, and becomes 6.75, -2.25, 0.5625 and 0" in PAGE
    assert rounded(7.0 / 6.0, "e4m3") == 1.125
    nv = BlockFloat(FLOAT_FORMATS["e2m1"], 16, "e4m3", 1.0, 7.0)
    assert nv.in_blocks(x, 0).tolist() == [6.75, -2.25, 0.5625, 0.0]
    assert "less than 2^-10 / 448 of the tensor's largest vanishes" in PAGE
    whole = BlockFloat.from_range(torch.tensor(0.0), torch.tensor(1.0), load_preset("nvfp4").weights)
    for factor, vanishes in ((0.99, True), (1.01, False)):
        block = torch.full((16,), factor * 2.0**-10 / 448.0)
        assert bool((whole.in_blocks(block, 0) == 0.0).all()) is vanishes
    for preset, bits in (("mxfp8", 8.25), ("mxfp4", 4.25), ("nvfp4", 4.5)):
        scheme = load_preset(preset).weights
        made = BlockFloat.from_range(torch.tensor(0.0), torch.tensor(1.0), scheme)
        count = 1 << 20
        assert scheme.bits + 8 * made.scale_bytes((count,)) / count == pytest.approx(bits, abs=1e-4)
        assert f"| {bits} |" in TEXT


def test_groups() -> None:
    assert "-7, 3.2, 0.5 and 2 have s = 0.93333 and become -7.46667, 2.8, 0.93333 and 1.86667" in PAGE
    weight = torch.tensor([[-7.0, 3.2, 0.5, 2.0]])
    four = CALIBRATORS["minmax"].weight(weight, load_preset("w4a16-g128").weights, 0)
    found = four.fake_quantize(weight)[0].tolist()
    assert found == pytest.approx([-7.46667, 2.8, 0.93333, 1.86667], abs=1e-5)
    assert "180 weights in groups of 128 are one group of 128 and one of 52" in PAGE
    scheme = TensorScheme(bits=4, granularity="per_group", group_size=128)
    assert CALIBRATORS["minmax"].weight(torch.randn(1, 180), scheme, 0).scale_bytes((1, 180)) == 2 * 4
    assert "0.25 bits per weight: 4.25 bits" in PAGE
    assert 8 * 4 / 128 == 0.25
