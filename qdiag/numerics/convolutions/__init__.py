"""Convolutions as affine maps: applied one after the other, added up, written as one."""
