"""pymonik in the forms that other libraries know: executors and what their calls need."""
