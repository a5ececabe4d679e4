"""What a task can ask about itself, and what it logs."""
