"""Repairs that change the scheme."""
