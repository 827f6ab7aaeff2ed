"""Implementations of the two losses with other libraries, in the form that an expert in each would write.

Each file is named after its library. Imports are absolute, so ``import torch`` in ``torch.py`` is PyTorch itself. A
library that lacks one of the losses has no function for it.
"""
