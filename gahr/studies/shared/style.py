"""How figures look."""

# Okabe and Ito's colours, distinguishable with any colour vision, and line styles that differ without colour
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLE = {
    "font.size": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 6.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
}
NULLS = {  # looks of null denoisers, thin and grey
    name: dict(color="0.5", lw=0.9, ls=style)
    for name, style in {
        "linear": ":",
        "3x3 filter": "-.",
        "identity": "-",
        "untrained": "--",
        "memorizer": (0, (5, 1, 1, 1, 1, 1)),
    }.items()
}


def draw_ready() -> None:
    """Have matplotlib choose where figures are shown, now.

    A notebook's choice says that they are to be shown where they are made. Made in `rc_context`, as in the studies, it
    would be forgotten at the end of that.
    """
    import matplotlib.pyplot as plt

    plt.draw_if_interactive()


def draw_ticks(axis) -> None:
    """Label a logarithmic axis of a decade or two at 1, 2 and 5 times powers of ten, without exponents."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())
