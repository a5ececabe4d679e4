"""Sessions, runs and calls that outlive their program: found again, repaired, sent again."""
