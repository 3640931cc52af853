"""From statistics to ranges."""
