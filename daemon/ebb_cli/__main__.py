"""`python -m ebb_cli` is `ebb`."""

from ebb_cli.app import main

if __name__ == "__main__":
    main()
