"""From TOML files and options to schemes."""
