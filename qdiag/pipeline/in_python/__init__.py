"""What the package offers in Python beside the use cases themselves."""
