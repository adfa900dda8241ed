"""The index: a devpi-server to publish to, and one of our own."""
