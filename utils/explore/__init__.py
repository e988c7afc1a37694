"""Explorables: pictures that the reader drives (see `utils.explore.base`).

Each is imported from its own module, so that a new one makes no other page's outputs stale.
"""
