"""The use cases: each reads top to bottom like the flow of the design."""
