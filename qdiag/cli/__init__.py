"""The program `qdiag`: the only part that prints, asks and exits."""
