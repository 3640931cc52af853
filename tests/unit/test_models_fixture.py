"""The networks that other tests stand on: they cover every kind, run, and are the same each time."""

import pytest
import torch
from torch import nn

from tests.models import AWKWARD, FAMILIES, KINDS, output_tensors

WITHOUT_BATCHNORM = {
    *("vit_multihead", "vit_sdpa", "vit_written_out", "lstm", "gru"),
    *("no_parameters", "buffer_constant", "passes_through"),
}

each_kind = pytest.mark.parametrize("name", list(KINDS))


def test_every_family_has_a_network() -> None:
    assert len(FAMILIES) == 14
    assert {kind.family for kind in KINDS.values()} == {*FAMILIES, AWKWARD}


@each_kind
def test_runs_with_any_batch_size(name: str) -> None:
    model = KINDS[name].build()
    assert not any(module.training for module in model.modules())
    for batch in (1, 3):
        args, kwargs = KINDS[name].inputs(batch, seed=0)
        with torch.inference_mode():
            outputs = output_tensors(model(*args, **kwargs))
        assert outputs
        assert all(output.shape[0] == batch for output in outputs)
        assert all(torch.isfinite(output).all() for output in outputs)


@each_kind
def test_is_the_same_each_time(name: str) -> None:
    results = []
    for _ in range(2):
        args, kwargs = KINDS[name].inputs(2, seed=7)
        with torch.inference_mode():
            results.append(output_tensors(KINDS[name].build()(*args, **kwargs)))
    for first, second in zip(*results, strict=True):
        assert torch.equal(first, second)


@each_kind
def test_leaves_the_global_random_state_alone(name: str) -> None:
    before = torch.random.get_rng_state()
    KINDS[name].build()
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("name", [name for name in KINDS if name not in WITHOUT_BATCHNORM])
def test_batchnorm_statistics_fit_the_inputs(name: str) -> None:
    model = KINDS[name].build()
    norms = {n: m for n, m in model.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)}
    assert norms
    ratios: list[float] = []

    def record(module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        x = args[0].transpose(0, 1).flatten(1)
        ratios.append(float((x.var(1) / module.running_var).median()))  # type: ignore[operator]

    for norm in norms.values():
        norm.register_forward_pre_hook(record)
    args, kwargs = KINDS[name].inputs(32, seed=3)
    with torch.inference_mode():
        model(*args, **kwargs)
    assert len(ratios) >= len(norms)
    assert all(0.4 < ratio < 2.5 for ratio in ratios)


@each_kind
def test_sample_does_not_depend_on_its_batch(name: str) -> None:
    model = KINDS[name].build()
    args, kwargs = KINDS[name].inputs(3, seed=5)
    alone_args, alone_kwargs = torch.utils._pytree.tree_map(lambda leaf: leaf[:1].clone(), (args, kwargs))
    with torch.inference_mode():
        alone = output_tensors(model(*alone_args, **alone_kwargs))
        together = output_tensors(model(*args, **kwargs))
    for one, all_three in zip(alone, together, strict=True):
        torch.testing.assert_close(one, all_three[:1], rtol=1e-4, atol=1e-5)
