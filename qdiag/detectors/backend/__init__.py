"""QD6xx: the backend's arithmetic."""
