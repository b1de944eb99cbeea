"""A door for Microsoft Olive: a whole run as one pass of a workflow, and the table in which Olive finds it."""
