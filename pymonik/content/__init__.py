"""Bytes known by their digest or name: written once, shared by who needs them."""
