"""Who takes tasks from the control plane and has them run: executors, or ArmoniK workers."""
