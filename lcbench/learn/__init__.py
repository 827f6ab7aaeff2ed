"""What the losses are for, beginning with whether a gradient is the slope of its loss."""
