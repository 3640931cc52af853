"""QD7xx: quantized files that somebody else made."""
