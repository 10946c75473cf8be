"""Draw the README's figure: where federated averaging comes to rest, after how many local steps."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import fedcore as fc
from fedcore import style

OUT = Path(__file__).resolve().parents[1] / "book/_static/cover.png"


def draw() -> plt.Figure:
    """Two clients, F_k(w) = a_k/2 (w - b_k)^2, and the path of w for several local steps."""
    shards = fc.make_quadratics([1, 10], [0, 1])
    fig, ax = plt.subplots(figsize=(7.4, 3.4))
    local = [1, 5, 10, 50]
    for steps, colour in zip(local, style.ramp(local), strict=True):
        states = fc.play(fc.fedavg(0.05, steps=steps), fc.Linear(1), shards, rounds=30)
        path = np.array([now.w[0] for now in states])
        ax.plot(path, color=colour, label=f"{steps} local steps" if steps > 1 else "1 local step")
    ax.axhline(10 / 11, color=style.OPTIMUM, ls="--")
    ax.text(0.3, 10 / 11 + 0.02, "the minimiser", color=style.OPTIMUM)
    ax.set(xlabel="rounds", ylabel="$w_t$", xlim=(0, 30), ylim=(0, 1.05))
    style.label_lines(ax)
    return fig


if __name__ == "__main__":
    style.use()
    draw().savefig(OUT, dpi=130)
    print(OUT.name)
