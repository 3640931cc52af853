"""What a result means, once for every surface: selections, rows, proposals and sentences, made from plain numbers."""
