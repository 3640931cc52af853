"""One network measured layer by layer: the paired pass, and what is read from it."""
