"""Each layer, and each kind of loss, by itself."""
