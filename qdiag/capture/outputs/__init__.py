"""What the outputs of a network are made of: branches of a concat, and channels."""
