"""Files written whole or not at all, and the folder of finished passes; no torch."""
