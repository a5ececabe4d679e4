"""`Pymonik`, what it was asked for, and how its session is opened and ended."""
