"""Where the course lives on the web: the one place that knows its home address.

Nothing is written down here, so that a fork works unedited: whoever publishes sets two
environment variables (the workflow ``publish.yml`` takes them from its own repository).

``LMM_HOME``  address of the repository, ``https://github.com/OWNER/NAME``
``LMM_SITE``  address of the published book, ``https://OWNER.github.io/NAME/``
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

BRANCH = "main"
LABS_BRANCH = "colab"  # the labs with the home address written into them; publish.yml makes it


def home() -> str:
    """The repository's address without a final slash; "" when none is set.

    Raises
    ------
    ValueError
        When LMM_HOME is no web or file address.
    """
    return _address("LMM_HOME", ("https", "http", "file"))


def site() -> str:
    """The published book's address without a final slash; "" when none is set.

    Raises
    ------
    ValueError
        When LMM_SITE is no web address.
    """
    return _address("LMM_SITE", ("https", "http"))


def _address(variable: str, schemes: tuple[str, ...]) -> str:
    value = os.environ.get(variable, "").strip().rstrip("/")
    if not value:
        return ""
    parts = urlsplit(value)
    if parts.scheme not in schemes or not (parts.netloc or parts.scheme == "file"):
        raise ValueError(
            f"{variable} is {value!r}; expected an address such as https://github.com/OWNER/NAME"
        )
    return value


def on_github(address: str) -> bool:
    """True when pages such as issues, edit and Colab can be derived from the address."""
    return urlsplit(address).netloc.lower() == "github.com"


def issue_address(address: str) -> str:
    """Where to report an error."""
    return f"{address}/issues/new"


def edit_address(address: str, path: str) -> str:
    """Where to propose a change of the file `path`, relative to the repository."""
    return f"{address}/edit/{BRANCH}/{path}"


def colab_address(address: str, path: str, branch: str = BRANCH) -> str:
    """Where Colab opens the notebook `path` of a branch; "" where it cannot."""
    if not on_github(address):
        return ""
    return f"https://colab.research.google.com/github{urlsplit(address).path}/blob/{branch}/{path}"
