"""Commands that train the network."""
