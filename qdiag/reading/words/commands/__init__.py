"""Commands of this program that repair or measure what was found."""
