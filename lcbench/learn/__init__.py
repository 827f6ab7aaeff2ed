"""What the losses are for."""
