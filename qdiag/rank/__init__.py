"""Claims causes: applies repairs one by one, measures what each gives back, and says how sure that is."""
