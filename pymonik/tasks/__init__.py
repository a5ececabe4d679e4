"""Kinds of tasks, what their calls take, and how their calls are made."""
