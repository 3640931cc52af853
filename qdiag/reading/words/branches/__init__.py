"""Sentences about parallel linear branches: what was found in a block, and what that asks for."""
