"""Why a network of which nothing was lost need not be called healthy, and why a float network is suspicious."""

from qdiag.core.causes.chance import by_chance
from qdiag.core.causes.ranking import Ranking, WaterfallStep
from qdiag.core.causes.repair_traits import repair_title
from qdiag.core.measures.measurement import Measurement
from qdiag.reading.words.float_ops import share_words
from qdiag.reading.words.numbers import count_noun
from qdiag.reading.words.task.figures import change_words


def reservation_words(measurement: Measurement) -> str:
    """Why a result without a loss is not one of the network that will run; empty where nothing speaks against it.

    `94 % of the weights and 90 % of the multiplications stayed in float`.
    """
    share, preprocessing = measurement.float_share, measurement.preprocessing
    deployed, parts = measurement.deployed, list[str]()
    if deployed is not None and deployed.reference != "float":
        parts.append("the weights were rounded before, and what that cost is not measured")
    if share.is_beyond_limit:
        parts.append(f"{' and '.join(share_words(share))} stayed in float")
    if preprocessing is not None and preprocessing.is_doubtful:
        parts.append("the inputs do not seem to be prepared as in training")
    if chance := chance_words(measurement):
        parts.append(chance)
    return ", and ".join(parts)


def chance_words(measurement: Measurement) -> str:
    """That the float network does not do the task, so that it has nothing to lose; empty where it does.

    `the float network is right on 3 of 100 samples, and guessing among 10 classes may be right as often`.
    """
    found = by_chance(measurement)
    if found is None:
        return ""
    right = f"right on {found.right_count} of {count_noun(found.sample_count, 'sample')}"
    return f"the float network is {right}, and guessing among {found.class_count} classes may be right as often"


def float_doubt_words(measurement: Measurement, ranking: Ranking) -> str:
    """Why the float network is no good reference for what quantization costs; empty where nothing speaks against it.

    `the repair reset_x makes the float network itself better, by 12.0 pp of top-1; ...`
    """
    parts = [chance_words(measurement), _gain_words(ranking)]
    return "; and ".join(filter(None, parts))


def _gain_words(ranking: Ranking) -> str:
    """That a repair makes the float network better, or that the repaired network is better than it beyond noise.

    A checkpoint that holds a repair for the quantized network alone says nothing of the float network.
    """
    step = next((step for step in ranking.waterfall if _gains(step)), None)
    fault = "it has a fault that quantization does not cause"
    criterion, judged = ranking.criterion, ranking.repaired.task.judged
    if criterion is None or criterion.is_against_float:
        return ""
    if step is not None and step.float_cost is not None:
        gain = change_words(criterion, -step.float_cost.loss)
        title = repair_title(step.repair)
        return f"the float network itself becomes {gain} of {criterion.name} better by the repair ({title}): {fault}"
    if judged is not None and ranking.waterfall and judged.loss_interval.high < 0.0 and -judged.loss > judged.limit:
        gain = change_words(criterion, -judged.loss)
        return f"the repaired network is {gain} of {criterion.name} better than the float network: {fault}"
    return ""


def _gains(step: WaterfallStep) -> bool:
    cost = step.float_cost
    return cost is not None and not cost.is_of_checkpoint and -cost.loss > cost.small
