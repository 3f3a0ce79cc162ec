"""Curves: what is measured at some points, as a table and as a plot.

A curve is {"title", "x", "columns", "lines"}: `x` names the quantity that grows, each line is
{"name", "points"}, and each point maps `x` and the columns to numbers. "drawn" names the columns of the
plot; a curve that draws none has no plot.
"""

import statistics

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot


def medians(parts):
    """One point of what was measured several times."""
    return {key: statistics.median(part[key] for part in parts) for key in parts[0]}


def number(value):
    """Three digits, with the prefix of its thousands; a name as it is."""
    if isinstance(value, str):
        return value
    for factor, unit in [(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")]:
        if float(f"{value:.3g}") >= factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}"


def table(curve):
    names = [curve["x"], *curve["columns"]]
    several = len(curve["lines"]) > 1
    yield f"**{curve['title']}**"
    yield ""
    yield f"| {' | '.join([''] * several + names)} |"
    yield "|" + " --- |" * (len(names) + several)
    for line in curve["lines"]:
        for point in line["points"]:
            cells = [line["name"]] * several + [number(point[name]) for name in names]
            yield f"| {' | '.join(cells)} |"


def plot(curve, path):
    drawn = curve["drawn"]
    if not drawn:
        return
    figure, axes = pyplot.subplots(1, len(drawn), figsize=(4.2 * len(drawn), 3.4),
                                   layout="constrained", squeeze=False)
    for place, column in zip(axes[0], drawn, strict=True):
        for line in curve["lines"]:
            points = line["points"]
            place.plot([point[curve["x"]] for point in points],
                       [point[column] for point in points], "o-", markersize=4, label=line["name"])
        place.set_xscale("log")
        place.set_yscale("log")
        place.set_xlabel(curve["x"])
        place.set_title(column)
        place.grid(alpha=0.3)
        if len(curve["lines"]) > 1:
            place.legend()
    figure.suptitle(curve["title"])
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
