"""Files read up to a limit, files written whole or not at all, and the folder of finished passes; no torch."""
