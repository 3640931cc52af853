"""LiteRT files with other integers, scales or types for some tensors, and everything else as it was."""
