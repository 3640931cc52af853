"""What things are called on every surface: sections, columns, and the two ends of a repair sequence."""

SUSPECT, VERDICT, LAYERS = "suspect", "verdict", "layers"
REPAIR, BEST_REPAIR, SCHEME = "repair", "best repair", "scheme"
RECOVERS, AFTERWARDS = "recovers", "afterwards"
PLACEBO, BEYOND_PLACEBO = "placebo recovers", "beyond the placebo"
FLOAT_NETWORK, COSTS, EVIDENCE, CHANNELS = "float network", "costs", "evidence", "channels"
FLOAT, QUANTIZED, REPAIRED = "float", "quantized", "repaired"

CAUSES_TITLE = "Causes, ranked by what repairing them recovers"
SEQUENCE_TITLE = "Repair sequence"
CHANGES_TITLE = "Scheme changes"
PARTS_TITLE = "Weights and activations, each quantized alone"
UNTRIED_TITLE = "Findings that no repair tested"

AS_IT_IS = "quantized, as it is"
NOT_RECOVERED, BETTER_THAN_FLOAT = "not recovered by any repair", "better than the float network"

METHOD = (
    "Every suspect was repaired alone, on a copy, and the network was measured again on the same samples. It is called "
    "a cause only where that recovers more than noise, and more than a placebo: the same repair, of the same size, "
    "where the finding is not. Repairs that keep the scheme decide the rank."
)
SEQUENCE_METHOD = "Each repair keeps the scheme and is measured on top of those before it."
CHANGES_METHOD = "For hardware that allows another scheme; each was measured alone, on the network without repairs."
