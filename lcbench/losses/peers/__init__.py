"""Other libraries, computing the same two losses in the form that their own experts would write.

Each file is named after the library that it adapts; imports are absolute, so ``import torch`` in ``torch.py`` is
PyTorch itself. A library that lacks one of the losses has no function for it.
"""
