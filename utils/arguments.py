"""Checks of arguments that say what came, what was expected and what to do."""

from collections.abc import Iterable

__all__ = ["check_positive_int", "check_range", "choose"]


def choose(kind: str, name: str, known: Iterable[str]) -> str:
    """Return ``name`` if it is one of ``known``; else raise a ValueError that lists them."""
    known = tuple(known)
    if name not in known:
        raise ValueError(f"{kind} {name!r} is not known; choose one of {', '.join(known)}")
    return name


def check_positive_int(**values: int) -> None:
    """Raise TypeError or ValueError, by name, for what is not an integer of at least 1."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} must be an integer, got {value!r} ({type(value).__name__})")
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def check_range(low: float, high: float = float("inf"), **values: float) -> None:
    """Raise TypeError or ValueError, by name, for what is not a number in [low, high)."""
    for name, value in values.items():
        if isinstance(value, bool) or not hasattr(value, "__float__"):
            raise TypeError(f"{name} must be a number, got {value!r} ({type(value).__name__})")
        if not low <= float(value) < high:
            raise ValueError(f"{name} must be in [{low}, {high}), got {value}")
