"""Vectors that an exporter stored once for several layers: where one changes, its layer gets one of its own."""

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnx_ir")
import onnx
import onnxruntime as ort

from qdiag.cli.app import run
from qdiag.errors import WriteError
from qdiag.loaders.models.formats import load_subject
from qdiag.onnx.wire.fields import fields
from qdiag.savers.save import save_subject
from tests.networks.onnx_files import node, onnx_bytes

RNG = np.random.default_rng(0)
X = RNG.standard_normal((16, 3, 8, 8)).astype(np.float32)


def shared(spread: float = 1.0) -> bytes:
    """Three BatchNorms with the same factors and offsets, as torch.onnx writes them.

    Args:
        spread: the factor of the first channel; that of the others is 1.
    """
    constants = {f"conv{i}.weight": 0.3 * RNG.standard_normal((4, 3 if i == 1 else 4, 3, 3)) for i in (1, 2, 3)}
    constants |= {"bn1.weight": np.asarray([spread, 1.0, 1.0, 1.0]), "bn1.bias": np.full(4, 0.1)}
    constants |= {f"bn{i}.running_mean": 0.1 * RNG.standard_normal(4) for i in (1, 2, 3)}
    constants |= {f"bn{i}.running_var": RNG.uniform(0.5, 1.5, 4) for i in (1, 2, 3)}
    nodes = [node("Identity", "bn1.weight", "bn2.weight", "alias")]
    last = "x"
    for i, names in enumerate(("bn1.weight bn1.bias", "bn2.weight bn1.bias", "bn1.weight bn1.bias"), 1):
        nodes.append(node("Conv", f"{last} conv{i}.weight", f"c{i}", f"conv{i}"))
        inputs = f"c{i} {names} bn{i}.running_mean bn{i}.running_var"
        nodes += [node("BatchNormalization", inputs, f"n{i}", f"bn{i}"), node("Relu", f"n{i}", f"r{i}", f"relu{i}")]
        last = f"r{i}"
    nodes[-1].output[0] = "y"
    floats = {name: np.asarray(value, np.float32) for name, value in constants.items()}
    return onnx_bytes(nodes, {"x": ("float32", ["N", 3, 8, 8])}, floats)


def outputs(content: bytes) -> np.ndarray:  # type: ignore[type-arg]
    found: np.ndarray = ort.InferenceSession(content).run(None, {"x": X})[0]  # type: ignore[type-arg]
    return found


def test_each_layer_has_its_own_under_the_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(shared())
    parameters = dict(load_subject(path).model.named_parameters())
    assert {name for name in parameters if name.startswith("bn")} == {
        *("bn1.weight", "bn1.bias", "bn2.weight", "bn1.bias/n2", "bn1.weight/n3", "bn1.bias/n3")
    }


@pytest.mark.parametrize("names", [("bn2.weight",), ("bn1.weight",), ("bn1.weight", "bn2.weight", "bn1.bias/n3"), ()])
def test_others_keep_their_values_and_everything_else_its_bytes(names: tuple[str, ...], tmp_path: Path) -> None:
    path, target = tmp_path / "net.onnx", tmp_path / "fixed.onnx"
    path.write_bytes(shared())
    subject = load_subject(path)
    parameters = dict(subject.model.named_parameters())
    changes = {name: parameters[name] * (2.0 + place) for place, name in enumerate(names)}
    save_subject(subject, changes or {"conv1.weight": parameters["conv1.weight"]}, target)
    with torch.no_grad():
        for name, value in changes.items():
            parameters[name].copy_(value)
        expected = subject.model(torch.from_numpy(X)).numpy()
    content = target.read_bytes()
    np.testing.assert_allclose(outputs(content), expected, atol=2e-5)
    before, after = (onnx.ModelProto.FromString(one.read_bytes()) for one in (path, target))
    old = {one.name: one for one in before.graph.initializer}
    kept = [one for one in after.graph.initializer if one.name in old]
    assert [one.name for one in kept] == list(old)  # new ones stand behind them
    assert [one.name for one in kept if one != old[one.name]] == [name for name in names if name in old]
    for one, other in zip(before.graph.node, after.graph.node, strict=True):
        assert one.op_type == "BatchNormalization" or one == other
        other.ClearField("input")
        one.ClearField("input")
        assert one == other
    if not names:
        assert content == path.read_bytes()


def test_a_file_whose_tensors_are_inputs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    content = bytearray(shared())
    version = next(field for field in fields(bytes(content), 0, len(content)) if field.number == 1)
    content[version.start] = 3
    path.write_bytes(content)
    subject = load_subject(path)
    value = dict(subject.model.named_parameters())["bn2.weight"] * 2.0
    with pytest.raises(WriteError, match=r"several layers read bn1\.weight"):
        save_subject(subject, {"bn2.weight": value}, tmp_path / "fixed.onnx")


def test_a_type_that_is_not_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    model = onnx.ModelProto.FromString(shared())
    (one,) = (one for one in model.graph.initializer if one.name == "bn1.weight")
    one.CopyFrom(onnx.helper.make_tensor(one.name, onnx.TensorProto.BFLOAT16, one.dims, [1.0] * 4))
    path.write_bytes(model.SerializeToString())
    subject = load_subject(path)
    twice = {"bn2.weight": dict(subject.model.named_parameters())["bn2.weight"] * 2.0}
    with pytest.raises(WriteError, match=r"the values of bn2\.weight"):
        save_subject(subject, twice, tmp_path / "fixed.onnx")


def test_ranges_are_equalized_across_such_layers(tmp_path: Path) -> None:
    path, data, fixed = (str(tmp_path / name) for name in ("net.onnx", "data.npz", "fixed.onnx"))
    content = shared(spread=50.0)
    Path(path).write_bytes(content)
    np.savez(data, x=X)
    assert run(["repair", path, "--with", "equalize", "--data", data, "-o", fixed, "--no-cache", "-q"]) == 0
    before, after = outputs(content), outputs(Path(fixed).read_bytes())
    assert np.abs(before - after).max() < 1e-5 * np.abs(before).max()
    assert "bn2.weight_own" in {one.name for one in onnx.load(fixed).graph.initializer}
