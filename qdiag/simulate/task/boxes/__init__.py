"""Detection: boxes with classes and scores, held against true boxes or against the float network's own."""
