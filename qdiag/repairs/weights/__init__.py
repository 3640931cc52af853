"""Repairs that change weights."""
