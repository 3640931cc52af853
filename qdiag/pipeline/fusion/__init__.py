"""A network whose branches are fused: as a model that can be run, repaired and written."""
