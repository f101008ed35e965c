"""Reference pages from the code: `make docs` writes them, a test fails when they are old."""
