"""How a backend adds up."""
