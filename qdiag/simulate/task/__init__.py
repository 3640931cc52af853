"""What quantization does to the task."""
