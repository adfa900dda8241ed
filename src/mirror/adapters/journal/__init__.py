"""What is remembered between runs: a SQLite file, and a folder of logs."""
