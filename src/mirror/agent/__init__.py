"""What runs inside a sandbox: standard library only, any CPython from 3.9 on.

The tool sends this package as a zip archive, the first thing on the wire, so there is nothing of ours in an image that
could be older than the tool. Nothing in here is trusted by the tool: whoever runs in a sandbox can replace it.
"""
