"""The embedded cluster: ArmoniK's control plane and its workers on one machine."""
