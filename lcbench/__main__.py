"""Entry point of ``lcbench`` and of ``python -m lcbench``."""

import sys


def main() -> None:
    """Import and run the command line, and exit."""
    try:
        from lcbench.cli.main import main

        main()
    except KeyboardInterrupt:  # Ctrl-C during the import
        sys.exit(130)


if __name__ == "__main__":
    main()
