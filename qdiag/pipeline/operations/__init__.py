"""What operations a network has, before anything is measured."""
