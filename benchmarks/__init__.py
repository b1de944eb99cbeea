"""What backs the numbers in the documents; nothing here is installed."""
