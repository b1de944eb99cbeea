"""What everything stands on: errors, atomic files, processes, text that may be printed."""
