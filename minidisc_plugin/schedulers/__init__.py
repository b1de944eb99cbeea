"""What the key `scheduler` may name; each module is a plug-in found by entry point, as a third party's is."""
