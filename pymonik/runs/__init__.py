"""What a person sees of calls: counts, a line, a view, a table, reasons, and a call run here again.

Nothing here is asked for while calls come and go: whoever looks pays for the look. Handles call
down into this room, which knows states of results and rows of the control plane's lists, and
neither gRPC nor handles.
"""
