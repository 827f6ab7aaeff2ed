"""The gradient held against the slope of the loss: for one loss, and for whatever a user names."""
