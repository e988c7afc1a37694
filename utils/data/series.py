"""Time series that come with statsmodels: no download."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from utils.arguments import choose


@dataclass(frozen=True)
class Series:
    """One measured series, evenly spaced."""

    time: np.ndarray  # (n,) float64, years
    values: np.ndarray  # (n,) float64; NaN where nothing was measured
    per_year: float  # measurements a year
    quantity: str
    unit: str


_KNOWN = {  # statsmodels' module, per year, quantity, unit
    "sunspots": ("sunspots", 1, "sunspot number", "yearly mean"),
    "nile": ("nile", 1, "flow of the Nile at Aswan", "10^8 m^3 a year"),
    "elnino": ("elnino", 12, "sea surface temperature", "degrees Celsius"),
    "co2": ("co2", 365.25 / 7, "CO2 in air at Mauna Loa", "ppm"),
    "gdp": ("macrodata", 4, "US real gross domestic product", "10^9 dollars of 2005"),
}


def series(name: str) -> Series:
    """A series by name: sunspots (1700-2008), nile, elnino (monthly), co2 (weekly), gdp.

    Raises
    ------
    ValueError
        For an unknown name.
    ModuleNotFoundError
        Where statsmodels is not installed.
    """
    choose("series", name, _KNOWN)
    try:
        from statsmodels import datasets
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the series {name!r} comes with statsmodels, which is not installed; "
            "run: pip install statsmodels",
            name=error.name,
        ) from error
    module, per_year, quantity, unit = _KNOWN[name]
    table = getattr(datasets, module).load_pandas().data
    if name == "elnino":  # one row a year, twelve columns of months
        values = table.iloc[:, 1:].to_numpy(float).ravel()
        first = float(table.iloc[0, 0])
    elif name == "co2":
        values = table.iloc[:, 0].to_numpy(float)
        start = table.index[0]
        first = start.year + (start.day_of_year - 1) / 365.25
    elif name == "gdp":
        values, first = table["realgdp"].to_numpy(float), float(table["year"].iloc[0])
    else:
        values, first = table.iloc[:, 1].to_numpy(float), float(table.iloc[0, 0])
    return Series(first + np.arange(len(values)) / per_year, values, per_year, quantity, unit)
