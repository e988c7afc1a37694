"""The course's own modules for the extensions, also where the package is not installed."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from utils.course.home import (  # noqa: E402
    LABS_BRANCH,
    colab_address,
    edit_address,
    home,
    issue_address,
    site,
)

__all__ = ["LABS_BRANCH", "ROOT", "colab_address", "edit_address", "home", "issue_address", "site"]
