"""The dataset of a config, read, split and tokenised."""
