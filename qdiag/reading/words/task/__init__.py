"""What a network is judged by, and by how much: in words."""
