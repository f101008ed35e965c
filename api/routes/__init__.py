"""The endpoints: each module has a `router`, and `api.app` finds it.

Paths are written as users write them, with a slash at their end, without the common prefix.
"""
