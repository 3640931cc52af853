"""The words for results, shared by all formats."""
