"""Numbers and names as people read them, on the terminal and on pages."""

from __future__ import annotations


def count(number: float) -> str:
    """`225,034`."""
    return f"{number:,.0f}"


def si(number: float, unit: str) -> str:
    """`5.3 MFLOP`: three significant digits with a decimal prefix."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        # From there three digits round up to the next prefix.
        if number >= 0.9995 * factor:
            return f"{number / factor:.3g} {prefix}{unit}"
    return f"{number:.0f} {unit}"


def duration(seconds: float) -> str:
    """`12.1 s`, `3 min 05 s`, `2 h 04 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def metric(value: float) -> str:
    """Four significant digits, `0.0413` or `3.41e-06`; `n/a` for what is not a number."""
    if value != value:
        return "n/a"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 10 else f"{value:.4g}"


def label(name: str) -> str:
    """`val_mean_absolute_error` as `val mean absolute error`."""
    return name.replace("_", " ")
