"""The comparisons of two folders in sum: as JSON, CSV, a page, and JUnit XML."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from .comparison import Comparison
from .folders import write_file
from .records import to_csv
from .tables import count_rows
from .versions import find_versions

__all__ = ["Row", "make_row", "make_summary", "to_junit", "write_summary"]

# Of the JSON, as in docs/summary.schema.json: it changes where something there changes its meaning or goes
VERSION = 1

# From worst to best
STATUSES = ("error", "missing", "different", "same")

# What XML has no way to say (XML 1.0, 2.2)
UNSAYABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# Name of the test case that says so of a run
STOPPED = "stopped"

Row = dict[str, Any]


def make_row(name: str, status: str, comparison: Comparison | None = None, **more: Any) -> Row:
    """Return what there is to say of a pair, in the types of JSON.

    Parameters
    ----------
    name : str
        Path of the files in their folders.
    status : str
        "error", "missing" (in one of the folders), "different" or "same".
    comparison : Comparison, optional
        Where there is one.
    **more
        ``reasons`` (what is different, or missing), ``error``, ``seconds``, ``report`` and ``page`` (its folder, and
        the page in it, below the folder of the summary) and ``images`` (as in a report).
    """
    row: Row = {
        "name": name,
        "status": status,
        "reasons": [],
        "error": None,
        "summary": None,
        "score": None,
        "regions": None,
        "changed_fraction": None,
        "seconds": None,
        "report": None,
        "page": None,
        "images": {},
    }
    if comparison is not None:
        score = float(np.min(comparison.score))
        row |= {
            "summary": comparison.summary,
            "score": score if np.isfinite(score) else None,
            "regions": count_rows(comparison.region_columns),
            "changed_fraction": comparison.changed_fraction,
        }
    return row | more


def make_summary(rows: Sequence[Row], asked: Mapping[str, Any], left: int = 0) -> dict[str, Any]:
    """Return what there is to say of all pairs, in the types of JSON, the worst first.

    `asked` is what decides: settings, limits and spacing. So many pairs are `left`, of which nothing is known.
    """
    ordered = sorted(rows, key=_rank)
    counts = {status: sum(row["status"] == status for row in rows) for status in STATUSES}
    return {
        "format": "napari-image-diff summary",
        "version": VERSION,
        "left": left,
        "different": bool(counts["different"] or counts["missing"]),
        "counts": counts,
        **asked,
        "versions": find_versions(),
        "pairs": ordered,
    }


def _rank(row: Row) -> tuple[Any, ...]:
    """Return what pairs are put in order by: the worst status, then the largest share changed, the lowest score."""
    changed, score = row["changed_fraction"] or 0.0, row["score"]
    return STATUSES.index(row["status"]), -changed, 1.0 if score is None else score, row["name"]


def write_summary(place: Path, summary: Mapping[str, Any]) -> None:
    """Write ``summary.json``, ``summary.csv`` and ``index.html`` into a folder, each whole or not at all."""
    from .page import make_index

    pairs = summary["pairs"]
    names = ("name", "status", "regions", "changed_fraction", "score", "seconds", "summary", "error", "report")
    table: dict[str, list[Any]] = {name: [row[name] for row in pairs] for name in names}
    table["reasons"] = ["; ".join(row["reasons"]) for row in pairs]
    write_file(place / "summary.csv", to_csv(table))
    write_file(place / "summary.json", json.dumps(summary, indent=1, allow_nan=False).encode())
    write_file(place / "index.html", make_index(summary).encode())


# --- for build servers ---


def to_junit(summary: Mapping[str, Any]) -> bytes:
    """Return a summary as JUnit XML: a test case for each pair, a failure where it differs or one file is missing."""
    counts = summary["counts"]
    # A run that was stopped must not look like one that passed
    stopped = [make_row(STOPPED, "error", error=f"{summary['left']:,} pairs were not compared")] * (summary["left"] > 0)
    numbers = {
        "tests": str(len(summary["pairs"]) + len(stopped)),
        "failures": str(counts["different"] + counts["missing"]),
        "errors": str(counts["error"] + len(stopped)),
        "time": f"{sum(row['seconds'] or 0 for row in summary['pairs']):.3f}",
    }
    suites = ElementTree.Element("testsuites", numbers)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "napari-image-diff", **numbers})
    for row in (*summary["pairs"], *stopped):
        folder, _, name = row["name"].rpartition("/")
        told = {"classname": folder or ".", "name": name, "time": f"{row['seconds'] or 0:.3f}"}
        case = ElementTree.SubElement(suite, "testcase", {key: _sayable(text) for key, text in told.items()})
        if row["status"] == "error":
            ElementTree.SubElement(case, "error", message=_sayable(row["error"]))
        elif row["status"] != "same":
            failure = ElementTree.SubElement(case, "failure", message=_sayable("; ".join(row["reasons"])))
            failure.text = _sayable(row["summary"] or "")
    ElementTree.indent(suites)
    content: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return content


def _sayable(text: str) -> str:
    return UNSAYABLE.sub("\N{REPLACEMENT CHARACTER}", text)
