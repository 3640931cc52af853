"""What a training did, as tables."""
