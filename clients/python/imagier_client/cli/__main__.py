# SPDX-License-Identifier: Apache-2.0
"""`python -m imagier_client.cli`: the command `imagier` of this interpreter."""

import sys

from imagier_client.cli import main

if __name__ == "__main__":
    sys.exit(main())
