"""Tables of layers: which columns they have, which layers they show, and what is known of each."""
