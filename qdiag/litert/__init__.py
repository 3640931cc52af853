"""LiteRT (TensorFlow Lite) files as networks: read as data, and rewritten in operators that are computed here."""
