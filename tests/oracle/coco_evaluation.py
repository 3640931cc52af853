"""COCO's own evaluation as a program: it reads data sets with answers, and prints mAP and mAP50 of each as JSON.

A process of its own, because loading the library changes how the processor treats denormal numbers.
"""

import contextlib
import io
import json
import sys
from typing import Any

import faster_coco_eval


def figures(given: dict[str, Any]) -> list[float]:
    """mAP and mAP50, from 0 to 1."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = faster_coco_eval.COCO({name: given[name] for name in ("images", "categories", "annotations")})
        evaluation = faster_coco_eval.COCOeval_faster(coco, coco.loadRes(given["answers"]), iouType="bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats[:2]]


if __name__ == "__main__":
    print(json.dumps([figures(given) for given in json.load(sys.stdin)]))
