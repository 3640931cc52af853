"""`python -m qdiag`."""

from qdiag.cli.app import main

if __name__ == "__main__":
    main()
