"""Two stored diagnoses side by side: what is matched with what, what changed, and what the samples can tell."""
