"""What judges one answer, one concept a file. docs/scorers.md explains each, with its formula.

base        what a scorer is, and what it says: Found | Absent
registry    scorers by name: ours, and others' by entry point
check       mistakes in how a suite uses scorers, and which stored scores are out of date
"""
