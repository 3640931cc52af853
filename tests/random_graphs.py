"""Random networks in onnxruntime and under `arithmetic = "ort"`: layers whose integers differ though no note says so.

python -m tests.random_graphs --seconds 300 --first 1000
"""

import argparse
import time
from dataclasses import replace
from random import Random

import numpy as np

from qdiag.config import load_preset
from qdiag.core.scheme import QuantScheme
from qdiag.errors import QdiagError
from qdiag.simulate.runtime_differences import runtime_differences
from tests.deployed import Exported, export
from tests.networks.random_graph import RandomGraph
from tests.processor import as_here


def scheme_of(seed: int) -> QuantScheme:
    """uint8 or int8 activations, weights per channel or tensor, with a zero point or without."""
    random = Random(seed)
    name = random.choice(("int8", "int8", "tf-uint8"))
    scheme = load_preset(name)
    if name == "int8":
        granularity = random.choice(("per_channel", "per_tensor"))
        signed = random.random() < 0.4
        scheme = replace(
            scheme,
            weights=replace(scheme.weights, granularity=granularity),  # type: ignore[arg-type]
            activations=replace(scheme.activations, signed=signed),
        )
    return as_here(replace(scheme, arithmetic="ort"))


def written(seed: int, size: int = 8) -> Exported:
    """The network of a number as a file, with its simulation."""
    model = RandomGraph(seed, size).eval()
    return export(model, ((model.images(3),),), scheme_of(seed))


def unexplained(exported: Exported) -> dict[str, str]:
    """By layer with other integers: how many; layers behind one that a note names, and these, are left out."""
    case, told = exported.case, set[str]()
    runtime, reasons, found = exported.integers(), runtime_differences(case), {}
    for layer in case.network.graph.layers:
        if told & set(layer.inputs) or layer.name in reasons:
            told.add(layer.name)
        elif layer.name in runtime:
            own = exported.simulated[layer.name].astype(int)
            steps = np.abs(runtime[layer.name].astype(int) - own)
            if own.min() < -(1 << 31) + 1:  # a quotient of two zeros is no number, and has no integer
                told.add(layer.name)
            elif steps.any():
                kinds = "+".join(layer.ops)
                found[layer.name] = f"{kinds}: {int((steps > 0).sum())} of {steps.size}, by {int(steps.max())} at most"
                told.add(layer.name)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    until, seed, counts = time.monotonic() + options.seconds, options.first, [0, 0, 0]
    while time.monotonic() < until:
        try:
            found = unexplained(written(seed))
        except QdiagError as error:
            print(f"{seed}: refused: {error}", flush=True)
            counts[2] += 1
        except Exception as error:  # a crash is what this looks for
            print(f"{seed}: crashed: {str(error)[:300]!r}", flush=True)
            counts[1] += 1
        else:
            counts[0] += 1
            counts[1] += bool(found)
            for layer, words in found.items():
                print(f"{seed}: {layer}: {words} ({scheme_of(seed).activations.signed=})", flush=True)
        seed += 1
    print(f"{counts[0]} networks, {counts[1]} with other integers, {counts[2]} refused")


if __name__ == "__main__":
    main()
