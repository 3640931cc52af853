"""What the commands on integer files print."""
