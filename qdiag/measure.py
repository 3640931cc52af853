from qdiag.pipeline.ranges import range_subject
from qdiag.pipeline.sqnr import measure_subject
