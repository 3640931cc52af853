"""Every kind of graph becomes one functional program that computes what the module computes, at any batch size."""

import pytest
import torch
from torch.utils import _pytree as pytree

from qdiag.batches import Batch
from qdiag.capture.capture import capture, largest_delta
from qdiag.capture.fold import fold_batchnorms
from qdiag.capture.layers import group_layers
from qdiag.capture.program import Runner
from qdiag.subject import Subject
from tests.models import KINDS


def leaves(tree: object) -> tuple[torch.Tensor, ...]:
    return tuple(x for x in pytree.tree_leaves(tree) if isinstance(x, torch.Tensor))


@pytest.mark.parametrize("name", KINDS)
def test_captured_folded_and_run_at_other_batch_sizes(name: str) -> None:
    kind = KINDS[name]
    model = kind.build()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    args, kwargs = kind.inputs(2, 0)
    program = capture(Subject(model, "module", name, name), Batch(args, kwargs))
    folded = fold_batchnorms(program).program
    assert program.batch_size is None
    for batch in (1, 2, 5):
        args, kwargs = kind.inputs(batch, batch)
        with torch.no_grad():
            expected = leaves(model(*args, **kwargs))
            for candidate in (program, folded):
                _, relative = largest_delta(expected, Runner(candidate)(args, kwargs))
                assert relative < 1e-4
    for node in folded.graph.nodes:
        schema = getattr(node.target, "_schema", None)
        assert schema is None or not schema.is_mutable, node
    graph = group_layers(folded)
    assert len({layer.name for layer in graph.layers}) == len(graph.layers)
    known = {layer.name for layer in graph.sites}
    assert all(source in known for layer in graph.layers for source in layer.inputs)
    after = model.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert not any(m.training for m in model.modules())
