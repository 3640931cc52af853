"""What pictures share: figures, frames, axes, and how long drawing takes."""
