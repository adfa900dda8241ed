"""The index's own page: what is built, what failed and why, and how to install from here.

A plugin of devpi-server. Everything it shows comes from strangers' packages: every string is made visible and escaped
in one place (`rendering.py`), and no browser runs anything but `static/page.js`.
"""
