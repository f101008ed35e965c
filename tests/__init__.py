"""Tests. A package by name: a dependency installs another one that is called tests."""
