"""What a program has in its hands of files and commands: `File`, `Completed`."""
