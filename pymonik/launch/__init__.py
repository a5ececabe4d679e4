"""Every process that pymonik starts: how it starts, what it may use, how it ends, and why."""
