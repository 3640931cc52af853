"""Findings, repairs and causes."""
