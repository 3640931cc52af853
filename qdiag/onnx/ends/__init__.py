"""Where a detector's file ends in operators that choose among its results: what is left out, and what is read there."""
