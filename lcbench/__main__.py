"""Entry point of ``python -m lcbench``."""

from lcbench.cli.main import main

if __name__ == "__main__":
    main()
