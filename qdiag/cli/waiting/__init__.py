"""What is said while a run goes on, and at its end about its times."""
