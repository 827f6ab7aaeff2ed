"""``python -m lcbench`` is the same as ``lcbench``."""

from lcbench.cli.main import main

if __name__ == "__main__":
    main()
