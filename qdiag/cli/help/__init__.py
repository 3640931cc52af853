"""What `--help` and `--help-all` show of a command, and what is said of a command line that cannot be read."""
