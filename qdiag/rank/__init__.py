"""Claims causes: applies repairs one by one, measures what each recovers, and says how sure that is."""
