"""Plain values and seams: no gRPC, no files, no threads."""
