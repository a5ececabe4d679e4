"""Who takes tasks from `Dispatch` and has them run: executors, or ArmoniK workers."""
