"""LiteRT files of integers: a network under a plan, with the channels of images last."""
