"""Figures in the text format of Prometheus, version 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/. Only the writing: what is measured is
up to the caller, and so is that labels have few values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mta.core.frozen import frozen
from mta.core.histogram import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LABEL = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})


@frozen
class Sample:
    """One figure.

    Attributes:
        value: the figure.
        labels: names and values; values may be any text.
        suffix: what comes after the family's name, such as "_bucket".
    """

    value: float
    labels: Mapping[str, str]
    suffix: str = ""


@frozen
class Family:
    """Figures of one name.

    Attributes:
        name: letters, digits and underscores; that of a counter ends in "_total".
        kind: "counter", "gauge" or "histogram".
        help: one line.
        samples: the figures; none is allowed.
    """

    name: str
    kind: str
    help: str
    samples: Sequence[Sample]


def counter(name: str, help_: str, *samples: Sample) -> Family:
    """Return figures that only grow while the process runs."""
    return Family(name, "counter", help_, samples)


def gauge(name: str, help_: str, *samples: Sample) -> Family:
    """Return figures that go up and down."""
    return Family(name, "gauge", help_, samples)


def value(number: float, **labels: str) -> Sample:
    """Return a figure with its labels."""
    return Sample(number, labels)


def histogram(name: str, help_: str, observed: Histogram) -> Family:
    """Return a histogram as its buckets, which are cumulative, its sum and its count."""
    samples, reached = [], 0
    for bound, count in zip((*observed.bounds, float("inf")), observed.counts, strict=True):
        reached += count
        samples.append(Sample(reached, {"le": _number(bound)}, "_bucket"))
    samples += [Sample(observed.total, {}, "_sum"), Sample(reached, {}, "_count")]
    return Family(name, "histogram", help_, samples)


def render(families: Iterable[Family]) -> str:
    """Return the text."""
    return "".join(f"{line}\n" for family in families for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {family.help.translate(_HELP)}"
    yield f"# TYPE {family.name} {family.kind}"
    for sample in family.samples:
        labels = [f'{name}="{text.translate(_LABEL)}"' for name, text in sample.labels.items()]
        joined = f"{{{','.join(labels)}}}" if labels else ""
        yield f"{family.name}{sample.suffix}{joined} {_number(sample.value)}"


def _number(number: float) -> str:
    if number == float("inf"):
        return "+Inf"
    return str(int(number)) if number == int(number) else repr(number)
