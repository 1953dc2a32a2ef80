"""The command by `python -m keras_segen_cli`."""

import sys

from keras_segen_cli import main

sys.exit(main())
