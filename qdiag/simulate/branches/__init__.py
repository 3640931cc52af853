"""What parallel branches do to the values and weights of their block."""
