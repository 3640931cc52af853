"""What a `.pt2` may ask of its reader, and what it may not: refused in words, with the limit, and at once."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qdiag.errors import LoadError, UntrustedError
from qdiag.loaders.models.formats import load_subject
from qdiag.loaders.models.screens.exported import code_in_archive
from qdiag.loaders.models.screens.exported_bounds import graph_bits, symbol_beyond
from tests.unit.loaders import model_files as files


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt2"
    files.write_exported(files.trained_net(), path)
    return path


def edit_program(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    def rewrite(text: bytes) -> bytes:
        program = json.loads(text)
        change(program)
        return json.dumps(program).encode()

    files.replace_member(path, "models/model.json", rewrite)


def with_expression(text: str) -> dict[str, bytes]:
    return {"models/model.json": json.dumps({"as_expr": {"expr_str": text, "hint": None}}).encode()}


@pytest.mark.parametrize(
    "expression",
    [
        "9**9**9**9",
        "9**(9**9)",
        "(9**99)**999",
        "2**99999999999",
        "s0**99999999",
        "PowByNatural(9, 99999999)",
        "PowByNatural(PowByNatural(9, 9999), 9999)",
        "LShift(1, 99999999999)",
        "exp(exp(exp(exp(99))))",
        "*".join(["9" * 1000] * 10),
    ],
)
def test_an_expression_that_grows_beyond_all_bounds_is_refused(expression: str) -> None:
    start = time.monotonic()
    with pytest.raises(LoadError, match="could have more than 4096 bits, the limit"):
        code_in_archive(with_expression(expression), "x.pt2")
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "expression",
    ["s0", "2*s0 + 1", "s0**2", "s0**3/4", "2**s0", "Max(1, FloorDiv(s0 - 3, 2) + 1)", "PowByNatural(s0, 3)", "exp(2)"],
)
def test_the_sizes_of_ordinary_networks_pass(expression: str) -> None:
    assert code_in_archive(with_expression(expression), "x.pt2") is None


def test_a_file_with_such_an_expression_is_refused_through_the_door(exported: Path) -> None:
    def change(program: dict[str, Any]) -> None:
        _holder(program, "expr_str")["expr_str"] = "9**9**9**9"

    edit_program(exported, change)
    with pytest.raises(LoadError, match="asks for too much: the shape expression '9"):
        load_subject(exported)


def test_an_endless_expression_is_refused() -> None:
    with pytest.raises(LoadError, match="characters, the limit is 100000"):
        code_in_archive(with_expression("s0+" * 100_000 + "1"), "x.pt2")


@pytest.mark.parametrize("name", ["u999999999999", "zuf999999999999", "s99999999999999999999", "u1000001"])
def test_a_symbol_that_would_be_counted_up_to_is_refused(name: str, exported: Path) -> None:
    edit_program(exported, lambda program: program["range_constraints"].update({name: {"min_val": 1, "max_val": 9}}))
    with pytest.raises(LoadError, match="has a number above 1,000,000, the limit"):
        load_subject(exported)


def test_symbols_of_ordinary_networks_pass() -> None:
    assert not any(map(symbol_beyond, ("u0", "s77", "u1000000", "conv2d", "s", "u_1", "std17000000x")))


def number_node(operator: str, result: str, *given: int | str) -> dict[str, Any]:
    inputs = [
        {"name": "", "arg": {"as_int": x} if isinstance(x, int) else {"as_sym_int": {"as_name": x}}} for x in given
    ]
    return {
        "target": f"_operator.{operator}",
        "inputs": inputs,
        "outputs": [{"as_sym_int": {"as_name": result}}],
        "metadata": {},
    }


def program_of(*nodes: dict[str, Any]) -> dict[str, bytes]:
    return {"models/model.json": json.dumps({"graph_module": {"graph": {"nodes": list(nodes)}}}).encode()}


def test_nodes_that_square_one_another_are_refused() -> None:
    chain = [number_node("mul", f"x{i + 1}", f"x{i}", f"x{i}") for i in range(60)]
    with pytest.raises(LoadError, match="the number x60 could have more than 4096 bits"):
        code_in_archive(program_of(*chain), "x.pt2")
    assert code_in_archive(program_of(*chain[:5]), "x.pt2") is None
    for node in (number_node("pow", "y", 9, 10**9), number_node("lshift", "y", 1, 10**12)):
        with pytest.raises(LoadError, match="the number y could have more than 4096 bits"):
            code_in_archive(program_of(node), "x.pt2")


def test_bits_of_a_node_are_those_of_python() -> None:
    for operator, a, b in (("mul", 12345, 67), ("pow", 9, 20), ("lshift", 5, 100), ("add", 2**70, 1)):
        value = {"mul": a * b, "pow": a**b, "lshift": a << b, "add": a + b}[operator]
        bound = graph_bits({"nodes": [number_node(operator, "y", a, b)]})[1]
        assert value.bit_length() <= bound <= 100 * value.bit_length()


@pytest.mark.parametrize("target", ["torch.ops.aten.save.default", "math.factorial", "torch.ops.c10d.barrier.default"])
def test_a_node_that_writes_waits_or_never_ends_asks_for_trust(target: str, exported: Path) -> None:
    """torch.ops knows the operators of TorchScript too, `aten::save` among them."""
    edit_program(exported, lambda program: program["graph_module"]["graph"]["nodes"][0].update(target=target))
    with pytest.raises(UntrustedError, match="a call of"):
        load_subject(exported)


def _holder(content: object, key: str) -> dict[str, Any]:
    """The first dictionary that has `key`, at any depth."""
    stack = [content]
    while stack:
        value = stack.pop(0)
        if isinstance(value, dict):
            if key in value:
                return value
            stack += value.values()
        elif isinstance(value, list):
            stack += value
    raise AssertionError(key)
