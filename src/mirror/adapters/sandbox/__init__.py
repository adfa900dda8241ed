"""The sandbox: a container of the Docker engine, and the talk with it over its stdio."""
