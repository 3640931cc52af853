"""One batch that a network accepts, without data: what its file brings or declares, or noise of a given shape."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from qdiag.batches import Batch, Datasets
from qdiag.errors import ConfigError, QdiagError
from qdiag.loaders.data.sources import batches_from
from qdiag.onnx.network import LIKELY_SIZES, OnnxNetwork
from qdiag.subject import Subject, evaluating

_SAMPLES = 2


@dataclass(frozen=True)
class ExampleBatch:
    """One batch as `Batches`; how the network fares on it says nothing about accuracy."""

    batch: Batch
    source: str
    preprocessing: str = "none"
    is_labelled: bool = False
    is_data_free: bool = True
    is_reproducible: bool = True

    @property
    def sample_count(self) -> int:
        return self.batch.sample_count

    @property
    def batch_size(self) -> int:
        return self.batch.sample_count

    def name(self, position: int) -> str:
        return f"sample {position}"

    def digest(self) -> str:
        """SHA-256 over the values."""
        return batches_from([self.batch]).digest()

    def __iter__(self) -> Iterator[Batch]:
        yield self.batch


def example_datasets(subject: Subject, shape: tuple[int, ...] | None, seed: int = 0) -> Datasets:
    """A batch for both passes.

    Args:
        shape: of the one float input, batch axis first; its length there is ignored. None: what the file tells.

    Raises:
        ConfigError: neither a shape nor a file that tells one.
    """
    generator = torch.Generator().manual_seed(seed)
    if shape is not None:
        noise = torch.randn(_SAMPLES, *shape[1:], generator=generator)
        example = ExampleBatch(Batch((noise,)), f"Gaussian noise of the given shape, seed {seed}")
    elif isinstance(subject.model, OnnxNetwork):
        example = _declared(subject.model, generator, seed)
    elif isinstance(subject.model, ExportedProgram) and subject.model.example_inputs is not None:
        args, kwargs = pytree.tree_map_only(Tensor, lambda x: x.detach().clone(), subject.model.example_inputs)
        example = ExampleBatch(Batch(tuple(args), dict(kwargs)), "the inputs that the file was exported with")
    else:
        raise ConfigError(
            "the model does not say the shape of its inputs",
            at="`input_shape`",
            hint="give `input_shape=1,3,224,224`, with the shape of the network's own input",
        )
    return Datasets(example, example, "the same samples, whose values mean nothing")


def _declared(network: OnnxNetwork, generator: torch.Generator, seed: int) -> ExampleBatch:
    """Noise of the shapes that the file declares, and of the first likely size that fits where sizes are free."""
    problem: QdiagError | None = None
    for size in LIKELY_SIZES:
        zeros = network.zeros(size)
        count = network.batch_size or _SAMPLES
        values = {name: _noise(zero, count, network.batch_size is None, generator) for name, zero in zeros.items()}
        is_free = any(d is None for one in network.inputs for d in (one.dims or (None,) * 4)[1:])
        where = f"; free sizes are {size}" if is_free else ""
        try:
            with evaluating(network), torch.no_grad():
                network(**values)
        except QdiagError as error:
            problem = problem or error
            continue
        return ExampleBatch(Batch((), values), f"Gaussian noise of the declared shapes, seed {seed}{where}")
    assert problem is not None
    raise ConfigError(
        f"the file leaves sizes free, and no likely ones fit ({problem.message})",
        at="`input_shape`",
        hint="give `input_shape=1,3,224,224`, with the shape of the network's own input",
    )


def _noise(zero: Tensor, count: int, has_free_batch: bool, generator: torch.Generator) -> Tensor:
    """Whole numbers stay zero: they are indices or masks more often than quantities."""
    shape = (count, *zero.shape[1:]) if has_free_batch and zero.ndim else tuple(zero.shape)
    if not zero.is_floating_point():
        return torch.zeros(shape, dtype=zero.dtype)
    return torch.randn(shape, generator=generator, dtype=zero.dtype)
