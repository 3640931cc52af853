"""From any model format to one ATen graph."""
