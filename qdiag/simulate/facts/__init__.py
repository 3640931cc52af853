"""What detectors look at beside the error sums."""
