"""Which version of the formulas the numbers of a verdict come from."""

VERSION = 1
"""Raised whenever the same records would give a verdict other numbers or another decision, beyond
the last digits. tests/unit/policy/test_statistics_version.py fails until it is."""
