"""Whether an implementation is right: the cases it is held against, and the name of its mistake."""
