"""What a check of a model says in sentences."""

from qdiag.core.measures.operations.model_check import ModelCheck, TensorForm
from qdiag.reading.words.numbers import count_noun, significant
from qdiag.reading.words.task.choice import output_words, reason_words

_TASKS = {
    "classify": "a classification",
    "segment": "a segmentation, classes at positions",
    "detect": "a detection of objects",
    "regress": "a regression",
    "embed": "an embedding",
}


def form_words(form: TensorForm) -> str:
    """`images (N, 3, 224, 224) float32`."""
    return f"{form.name} ({', '.join(['N', *map(str, form.shape)])}) {form.dtype}"


def verdict_words(check: ModelCheck) -> str:
    """How much of the network the scheme quantizes."""
    layers, quantized = check.layer_count, check.quantized_count
    if not quantized:
        return f"The scheme {check.scheme.name} quantizes nothing of this network."
    if quantized == layers:
        return (
            f"qdiag can run this network, and {check.scheme.name} quantizes all of its {count_noun(layers, 'layer')}."
        )
    return (
        f"qdiag can run this network, and {check.scheme.name} quantizes {quantized} of its "
        f"{count_noun(layers, 'layer')}."
    )


def task_words(check: ModelCheck) -> str:
    """What the network is taken for as long as nobody gives labels, and why."""
    choice, where = check.choice, f" at {output_words(check.choice.output)}" if check.choice.output else ""
    reason = reason_words(choice)
    if check.criterion is None:
        judged = f"the SQNR of {output_words(choice.output) if choice.output else 'its outputs'}"
        return f"Without labels it is judged by {judged}: {reason}."
    task = _TASKS.get(choice.kind, "a network")
    return f"It is taken for {task}{where}: {reason}. Without labels it is judged by {check.criterion.name}."


def next_words(check: ModelCheck) -> str:
    """What labels and other statements change."""
    if check.criterion is None or check.choice.reason in ("name", "unequal_numbers"):
        return "Labels decide on the task where the data has any; the task can also be named."
    return "Labels decide on the task where the data has any."


def work_words(check: ModelCheck) -> str:
    """`3.4 million multiplications for one sample`: in thousands, millions or thousands of millions."""
    for limit, noun in ((10**9, "thousand million"), (10**6, "million"), (10**3, "thousand")):
        if check.mac_count >= limit:
            return f"{significant(check.mac_count / limit)} {noun} multiplications for one sample"
    return f"{count_noun(check.mac_count, 'multiplication')} for one sample"
