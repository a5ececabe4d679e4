"""The gRPC edge: sessions, tasks and data of ArmoniK's control plane; no other client code."""
