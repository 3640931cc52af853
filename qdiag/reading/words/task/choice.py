"""Which output a network is judged by, by what, and why: one sentence, the same on the terminal and in the reports."""

from qdiag.core.measures.task import TaskChoice, TaskReason, TaskResult

_REASONS: dict[TaskReason, str] = {
    "asked": "as asked for",
    "metric": "the metric that was given",
    "labels": "the labels fit it",
    "targets": "the targets fit it",
    "softmax": "it ends in a softmax",
    "no_sign": "nothing says what the network answers",
    "no_output": "no output is a float tensor",
}
PROXY = "a proxy: how answers change was not counted"
"""Of the SQNR of a whole tensor, wherever that decides."""


def judged_words(task: TaskResult) -> str:
    """`judged by top-1 at output logits: the labels fit it`."""
    choice, judged = task.choice, task.judged
    if choice.reason == "no_output":
        return f"not judged: {_REASONS['no_output']}"
    where = f" at {output_words(choice.output)}" if choice.output else ""
    if judged is None:
        what = f"the SQNR of {output_words(choice.output)}" if choice.output else "the SQNR of its outputs"
    else:
        what = f"{judged.criterion.name}{where}"
    mark = ", " if choice.reason in ("asked", "metric") else ": "
    return f"judged by {what}{mark}{reason_words(choice)}"


def output_words(name: str) -> str:
    """Many networks call their only output `output`."""
    return "the output" if name == "output" else f"output {name}"


def reason_words(choice: TaskChoice) -> str:
    """Why this output, and this figure."""
    if choice.reason == "name":
        if choice.named_by == choice.output:
            return "its name is one that classifiers give to their answers"
        return f"the layer {choice.named_by} behind it is named as in a classifier"
    if choice.reason == "unequal_numbers":
        own = "it" if choice.named_by == choice.output else f"the layer {choice.named_by}"
        return f"its numbers differ in size as quantities do, although {own} is named as in a classifier"
    return _REASONS[choice.reason]


def counts_no_answers(task: TaskResult) -> bool:
    """Nothing said what the network answers, so that nothing of it could be counted."""
    return task.judged is None and task.choice.reason in ("no_sign", "unequal_numbers")


def rests_on_a_name(task: TaskResult) -> bool:
    """Nothing but a name says that the output holds scores of classes."""
    return task.choice.reason == "name"


def next_step_words(task: TaskResult) -> str:
    """How to have answers counted, without naming an option; empty where they are counted, or were not asked for."""
    if rests_on_a_name(task):
        return (
            "Only a name says that its numbers belong to classes: if they are quantities or an embedding, say which "
            "task it has."
        )
    if not counts_no_answers(task):
        return ""
    return "To have answers counted, name the task of the network and its output, or give labels, targets or a metric."
