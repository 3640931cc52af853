"""The BatchNorms of a model, whatever its format, and what each folds into."""
