"""From files to models and batches."""
