"""Bag of visual words: small patches of an image, each told by its distances to the words of a learnt dictionary."""
