"""python -m tinydeconv"""

import sys

from .cli import main

sys.exit(main())
