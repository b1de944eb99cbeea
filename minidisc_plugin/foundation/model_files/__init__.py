"""What a folder says that is to hold a model: read and judged before transformers is asked to load it."""
