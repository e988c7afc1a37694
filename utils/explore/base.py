"""Explorables: pictures that the reader drives, in a notebook and on a static page alike.

Each is one ES module (an anywidget's ``_esm``) and one Python class. Stored outputs hold a
``<div>`` with name and state and no script; the build of the book brings the script.
"""

from __future__ import annotations

import html
import json
from pathlib import Path

import anywidget

FOLDER = Path(__file__).parent


def source(module: str) -> str:
    """The text of an explorable's ES module, with the shared helpers in front."""
    names = ["shared.js", module]
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)


class Explorable(anywidget.AnyWidget):
    """Base class. A subclass sets ``_esm``, ``title``, ``fallback``, ``heights``, synced traits.

    ``heights``: CSS lengths that a static page keeps free while the script loads, on a wide and
    on a narrow screen.
    """

    title = "Explorable"
    fallback = ""
    heights = ("20rem", "30rem")

    def state(self) -> dict:
        """The synced values that the subclass adds to a widget, by name."""
        names = set(self.trait_names(sync=True)) - set(anywidget.AnyWidget.class_trait_names())
        return {name: getattr(self, name) for name in sorted(names) if not name.startswith("_")}

    def _box(self) -> str:
        """The box for a static page: name, state, label and fallback, no script."""
        values = {
            "name": type(self).__name__,
            "state": json.dumps(self.state(), sort_keys=True),
        }
        data = " ".join(f'data-{key}="{html.escape(value)}"' for key, value in values.items())
        label = html.escape(self.title)
        style = "--height-wide:{};--height-narrow:{}".format(*self.heights)
        return (
            f'<div class="explorable" role="group" aria-label="{label}" style="{style}" {data}>'
            f"<p>{html.escape(self.fallback)}</p></div>"
        )

    def _repr_mimebundle_(self, **kwargs):
        """The widget's mime bundle with ``text/html`` added."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return {"text/html": self._box()}
        data, *metadata = bundle if isinstance(bundle, tuple) else (bundle,)
        data = {**data, "text/html": self._box()}
        return (data, *metadata) if metadata else data
