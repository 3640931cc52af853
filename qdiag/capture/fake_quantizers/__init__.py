"""What torch.ao puts into a network to quantize it in training: left out of the graph, and read for its ranges."""
