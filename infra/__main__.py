"""`python -m infra` is the command line `rheostat`."""

from infra.cli import main

if __name__ == "__main__":
    main()
