"""The client's machine: what was submitted, what is known of it, who waits."""
