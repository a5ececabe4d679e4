"""Runners: they take tasks from `Dispatch` and have executors, or ArmoniK workers, run them."""
