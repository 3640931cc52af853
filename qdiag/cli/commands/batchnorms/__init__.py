"""Commands on the BatchNorms of a network: what they do to the weights, their repair, and where folding puts them."""
