"""Two diagnoses side by side: what changed, and which settings differ, in words."""
