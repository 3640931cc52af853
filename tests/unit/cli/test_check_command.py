"""What `qdiag check` proposes to go on with."""

import pytest

from qdiag.cli.commands.check import _data_name
from qdiag.core.measures.operations.model_check import TensorForm


@pytest.mark.parametrize(
    ("shapes", "data"),
    [
        ([(3, 64, 64)], "photos/"),
        ([(1, 28, 28)], "photos/"),
        ([(1, 512)], "samples.npz"),
        ([(16, 40)], "samples.npz"),
        ([(3, 64, 64), (4,)], "samples.npz"),
    ],
)
def test_a_folder_of_images_is_proposed_to_networks_of_images_alone(shapes: list[tuple[int, ...]], data: str) -> None:
    assert _data_name([TensorForm("x", shape, "float32") for shape in shapes]) == data
