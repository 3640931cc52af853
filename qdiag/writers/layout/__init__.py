"""Where the boxes and lines of a network stand when it is drawn as a graph."""
