"""What the compilers made of an implementation, read from the machine code itself."""
