"""One file a command: its options, its run, its tables."""
