"""What plug-ins and rooms agree on: the config, records, and the classes that a plug-in derives from."""
