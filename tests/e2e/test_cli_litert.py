"""A LiteRT file through a command: measured in either order of axes, with the names of its tensors."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("ai_edge_litert")
from qdiag.cli.app import app
from qdiag.litert.serialize import serialized
from tests.networks.litert_files import small_cnn


def conv_rows(path: Path, data: Path) -> list[str]:
    result = CliRunner().invoke(app, ["sqnr", str(path), "--data", str(data)])
    assert result.exit_code == 0, result.output
    return [line for line in result.output.splitlines() if " conv " in line]


def test_a_file_is_measured_in_either_order_of_axes(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(serialized(small_cnn()))
    x = np.random.default_rng(0).standard_normal((24, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "first.npz", x=x)
    np.savez(tmp_path / "last.npz", x=x.transpose(0, 2, 3, 1))
    first, last = (conv_rows(path, tmp_path / name) for name in ("first.npz", "last.npz"))
    assert first == last and all(any(name in row for row in first) for name in ("stem", "dw", "pw"))
