"""A run measured, drawn and printed."""
