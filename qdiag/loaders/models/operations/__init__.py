"""Files of other frameworks, whose networks are lists of operations; one format each."""
