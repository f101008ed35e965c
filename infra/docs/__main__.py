"""python -m infra.docs: writes docs/reference/ again."""

import sys

from infra.docs.pages import write

if __name__ == "__main__":
    for path in write():
        sys.stdout.write(f"written {path}\n")
