"""What a model file asks of its reader, looked through before any of it is loaded."""
