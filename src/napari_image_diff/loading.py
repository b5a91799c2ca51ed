"""Loading what compares, for a process that does little else: of 0.8 seconds this saves 0.3."""

from __future__ import annotations

import gc
import sys
from contextlib import suppress

__all__ = ["load_engine"]


def load_engine() -> None:
    """Load `comparison` and numba, without what neither needs; where they are loaded, do nothing."""
    if f"{__package__}.comparison" in sys.modules:
        return
    collecting = gc.isenabled()
    # What is loaded stays: there is nothing to collect in it, now or later
    gc.disable()
    try:
        _load_numba()
        from . import comparison  # noqa: F401

        gc.freeze()
    finally:
        if collecting:
            gc.enable()


def _load_numba() -> None:
    """Load numba without linear algebra, of which our kernels have none.

    Numba asks as it is loaded whether BLAS is there, and loads scipy.linalg to know. It is, scipy is installed with us;
    functions that need it ask again when they are compiled.
    """
    with suppress(ImportError, AttributeError):  # in versions to come: then it is loaded as it loads itself
        import numba.np.linalg as linear_algebra

        ask = linear_algebra.ensure_blas
        linear_algebra.ensure_blas = lambda: None
        try:
            import numba.np.arraymath  # noqa: F401
        finally:
            linear_algebra.ensure_blas = ask
