"""What counts as the same outputs, and what does not."""

import re

import pytest
import torch

from qdiag.capture.agreement import first_difference, same_sample

X = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
NAN, INF = torch.nan, torch.inf


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ([X], [X * (1 + 1e-5)]),
        ([X, X[:, :2]], [X, X[:, :2]]),
        ([torch.tensor([1.0, NAN, INF, -INF])], [torch.tensor([1.0, NAN, INF, -INF])]),
        ([torch.arange(300)], [torch.arange(300).index_fill(0, torch.tensor([7]), 0)]),
        ([X, torch.tensor([1e-9])], [X, torch.tensor([-1e-9])]),
        ([torch.complex(X, X)], [torch.complex(X, X)]),
        ([X[:1]], [X[0]]),
        ([torch.zeros(0, 3)], [torch.zeros(0, 3)]),
    ],
    ids=["rounding", "two", "nan and infinities", "a near tie", "noise around zero", "complex", "axis of one", "empty"],
)
def test_same(expected: list[torch.Tensor], actual: list[torch.Tensor]) -> None:
    assert first_difference(expected, actual) is None


@pytest.mark.parametrize(
    ("expected", "actual", "index", "what"),
    [
        ([X], [X + 0.1], 0, "a difference of 0.1 where"),
        ([1e5 * X, X], [1e5 * X, 0.5 * X], 1, "a difference of"),
        ([X], [X[:1]], 0, r"shape \(1, 5\) instead of \(4, 5\)"),
        ([X, X], [X], 0, "1 tensor in place of 2"),
        ([torch.tensor([1.0, NAN])], [torch.tensor([1.0, 0.0])], 0, "NaN or infinity at other places"),
        ([torch.tensor([1.0, INF])], [torch.tensor([1.0, -INF])], 0, "NaN or infinity at other places"),
        ([torch.tensor([1.0, INF])], [torch.tensor([1.0, NAN])], 0, "NaN or infinity at other places"),
        ([torch.arange(20)], [torch.arange(20).flip(0)], 0, "100 % of the integers differ"),
        ([torch.complex(X, X)], [torch.complex(X, -X)], 0, "a difference of"),
        ([torch.complex(X, X)], [X], 0, "float32 instead of complex64"),
        ([torch.zeros(3)], [torch.full((3,), 1e-3)], 0, "where the largest value is 0"),
    ],
    ids=["all", "a small output", "shape", "count", "nan", "sign", "kind", "integers", "complex", "type", "zero"],
)
def test_different(expected: list[torch.Tensor], actual: list[torch.Tensor], index: int, what: str) -> None:
    found = first_difference(expected, actual)
    assert found is not None
    assert found.output == index
    assert re.search(what, found.what)


def test_one_sample_of_a_batch() -> None:
    assert same_sample(X, 4, 2, X[2:3], 1, 0)
    assert not same_sample(X, 4, 1, X[2:3], 1, 0)
    assert same_sample(X.t(), 4, 2, X[2:3].t(), 1, 0)
    assert same_sample(X.reshape(-1), 4, 3, X[3], 1, 0)
    assert same_sample(X, 4, 3, X[2:4], 2, 1)
    assert same_sample(torch.ones(7), 4, 1, torch.ones(7), 1, 0)
    assert same_sample(X, 4, 0, X[:1, :3], 1, 0) is None
    assert same_sample(X, 4, 0, X[0], 1, 0) is None
