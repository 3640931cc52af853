"""From files and Python objects to what samples are judged by."""
