"""What travels as code, and how values are pickled and read."""
