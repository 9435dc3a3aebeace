"""The folder of the example is where its module is found."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
