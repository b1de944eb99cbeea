"""Models of a run, measured: metric, sizes, multiply-accumulates and speed."""
