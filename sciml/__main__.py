"""`python -m sciml` is the `sciml` command."""

import sys

try:
    from sciml.cli import main
except KeyboardInterrupt:
    print("interrupted before the command started", file=sys.stderr)
    sys.exit(130)

if __name__ == "__main__":
    main()
