"""Files of many calls, saved under names of their own, and what is known of them later."""
