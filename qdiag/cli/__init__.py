"""The only room that prints, asks and exits."""
