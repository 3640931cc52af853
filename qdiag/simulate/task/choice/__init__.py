"""Which task a network has, which output is judged, and by what."""
