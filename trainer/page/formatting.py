"""Numbers as text: few digits, named thousands, and intervals with as many digits as they justify."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from trainer.scaling.uncertainty import Interval

Kind: TypeAlias = Literal["text", "count", "number", "plain", "percent", "power"]
"""The format of a number: 1.2 B, 0.3153, 0.32, 1.3 %, 3.2 × 10²¹."""
GAP = "\u00a0"
"""Between a number and its unit: no line break."""
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_STEPS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def number(value: float, digits: int = 4) -> str:
    """Return a number with this many significant digits, very large and small ones as powers of ten."""
    if not math.isfinite(value):
        return "no limit"
    if value and not 1e-4 <= abs(value) < 1e6:
        return power(value, min(digits, 3))
    return _sign(_places(value, digits))


def count(value: float, digits: int = 3) -> str:
    """Return an amount as text: 940, 12.5 k, 1.2 B (1,000,000,000), 3 T."""
    if not math.isfinite(value):
        return "no limit"
    for step, name in _STEPS:
        if abs(value) >= step * (1 - 10.0**-digits / 2):
            return power(value) if value >= 1e15 else f"{_sign(_short(value / step, digits))}{GAP}{name}"
    return _sign(_short(value, digits))


def percent(value: float, digits: int = 2) -> str:
    """Return a share as per cent."""
    return f"{_sign(_short(100 * value, digits))}{GAP}%" if math.isfinite(value) else "no limit"


def power(value: float, digits: int = 3) -> str:
    """Return a number as a power of ten."""
    if not value or not math.isfinite(value):
        return "0" if not value else "no limit"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    raised = f"10{str(int(exponent)).translate(_RAISED)}"
    short = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return raised if short == "1" else f"{_sign(short)}{GAP}×{GAP}{raised}"


def write(value: float, kind: Kind = "number") -> str:
    """Return a number in the form of its column or axis."""
    if kind == "plain":
        return _sign(f"{value:.2f}")
    return {"count": count, "percent": percent, "power": power}.get(kind, number)(value)


def tick(value: float, step: float, kind: Kind) -> str:
    """Return a number for an axis whose numbers are `step` apart, all with as many decimals."""
    if kind != "number":
        return write(value, kind)
    if value and not 1e-4 <= abs(step) < 1e6:
        return power(value)
    return _sign(f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}")


def ends(found: Interval, kind: Kind = "number") -> str:
    """Return an interval's ends as text: "0.030 to 0.041", or which side is open."""
    if found.lower is None and found.upper is None:
        return "no limit on either side"
    if found.lower is None:
        return f"below {_matched(found.upper, found, kind)}"
    if found.upper is None:
        return f"above {_matched(found.lower, found, kind)}"
    return f"{_matched(found.lower, found, kind)} to {_matched(found.upper, found, kind)}"


def around(found: Interval, kind: Kind = "number") -> str:
    """Return an estimate with its interval: "0.034 (0.030 to 0.041)"; without it if a side is open."""
    if not found.determined:
        return f"not determined ({ends(found, kind)})"
    return f"{_matched(found.estimate, found, kind)} ({ends(found, kind)})"


def unit(loss: str) -> str:
    """Return a loss's name for people: `languages.tur_Latn.bits_per_byte` is bits per byte, tur_Latn."""
    if not loss.endswith("bits_per_byte"):
        return loss
    parts = loss.split(".")
    return "bits per byte" if len(parts) < 3 else f"bits per byte, {'.'.join(parts[1:-1])}"


_NAMES = {"log_rd": "ln R_D*", "log_rn": "ln R_N*", "log_nc": "ln N_c", "log_dc": "ln D_c"}


def named(parameter: str) -> str:
    """Return a law's parameter as its formula names it."""
    return _NAMES.get(parameter, parameter)


def listed(names: list[str]) -> str:
    """Return words joined as a list: "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _matched(value: float | None, found: Interval, kind: Kind) -> str:
    """Return one of an interval's numbers with two digits of the interval's width."""
    assert value is not None
    if kind in ("count", "power") or not found.determined or not value:
        return write(value, kind)
    assert found.upper is not None
    assert found.lower is not None
    width = found.upper - found.lower
    if width <= 0 or not 1e-5 <= abs(value) < 1e6:
        return write(value, kind)
    digits = math.floor(math.log10(abs(value))) - math.floor(math.log10(width)) + 2
    return percent(value, max(1, digits)) if kind == "percent" else number(value, max(1, digits))


def _places(value: float, digits: int) -> str:
    if not value:
        return "0"
    return f"{value:,.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"


def _short(value: float, digits: int) -> str:
    """Return this many significant digits without trailing zeros."""
    text = _places(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _sign(text: str) -> str:
    return text.replace("-", "−")
