"""Tables and transitions: pure; time and IDs come in as arguments, effects go out as values."""
