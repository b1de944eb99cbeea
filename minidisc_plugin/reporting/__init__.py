"""What a run leaves behind: records, measurements, the plot, the tables and the model card."""
