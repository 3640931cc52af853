"""The operations of a network on the terminal."""
