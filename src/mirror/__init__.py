"""Compile the musllinux wheels that PyPI lacks and serve them from a devpi index."""

__version__ = "0.1.0"
