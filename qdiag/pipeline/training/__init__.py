"""A network trained with its quantizers in place: what is trained on, what judges, and the proof."""
