"""Why a network of which nothing was lost need not be called healthy."""

from qdiag.core.causes.chance import by_chance
from qdiag.core.measures.measurement import Measurement
from qdiag.reading.words.float_ops import share_words
from qdiag.reading.words.numbers import count_noun


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
