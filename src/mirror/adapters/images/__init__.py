"""The base image and the builder image: pulled, or made from Debian's source packages."""
