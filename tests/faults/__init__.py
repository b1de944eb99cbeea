"""Faults on purpose: kills, failing disks, two starts at once and damaged files, and what a run makes of them.

`shim.c` sees every call that changes a file of a run. `python -m tests.faults` (`make faults`) tries faults at each of
them and prints a table; `--quick` tries a sample, which the tests here look at.
"""
