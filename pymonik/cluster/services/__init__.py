"""ArmoniK's public services: a message in, a call of the control plane, a message out."""
