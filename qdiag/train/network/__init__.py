"""The captured graph in training: parameters, folded weights, ranges, and what the gradient sees of them."""
