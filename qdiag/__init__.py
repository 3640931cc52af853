"""Find out why a neural network loses accuracy when it is quantized."""
