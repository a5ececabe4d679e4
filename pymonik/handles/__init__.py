"""What `invoke` gives back, for values that come later."""
