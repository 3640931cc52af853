"""The output of a layer in all lanes: clamped, quantized and looked at."""
