"""Draw preview.png, the picture that chats and social sites show for a link to the book.

1200 by 630 pixels. Run `python assets/preview/make.py` after a change.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

figure = plt.figure(figsize=(12, 6.3), dpi=100, facecolor="white")
figure.text(0.06, 0.72, "Large Models,\nMeasured", fontsize=56, weight="bold", va="center")
figure.text(0.06, 0.36, "A course in which every number", fontsize=24, color="0.25")
figure.text(0.06, 0.28, "comes from a cell or a source.", fontsize=24, color="0.25")
axes = figure.add_axes((0.62, 0.2, 0.33, 0.62))
z = np.linspace(-8, 8, 200)
axes.plot(z, np.log1p(np.exp(-z)), color="#0072B2", linewidth=5)
axes.plot(z, 1 / (1 + np.exp(z)) ** 2, color="#B34E00", linewidth=5, linestyle="--")
axes.set(xticks=[], yticks=[])
axes.spines[["top", "right"]].set_visible(False)
figure.savefig(Path(__file__).with_name("preview.png"), metadata={"Software": None})
