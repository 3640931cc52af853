"""What a result shows of itself in Python; how is found when somebody asks."""
