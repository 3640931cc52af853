"""From files and Python objects to samples."""
