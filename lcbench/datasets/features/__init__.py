"""Features of images for a linear classifier, computed once and cached."""
