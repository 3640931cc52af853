"""What the table of suspects and their repairs is made of."""
