"""Packages around a call: resolved, locked, built once, kept."""
