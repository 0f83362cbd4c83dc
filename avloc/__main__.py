"""``python -m avloc``: the command line."""

import sys

from avloc.cli.main import main

sys.exit(main())
