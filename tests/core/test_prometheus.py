"""Figures in the text format of Prometheus."""

from __future__ import annotations

from mta.core.histogram import Histogram
from mta.core.prometheus import counter, gauge, histogram, render, value


def test_counters_and_gauges() -> None:
    text = render(
        [
            counter("x_total", "What\nit is.", value(3, kind="a"), value(0.5, kind='b"\\\n')),
            gauge("y", "Now.", value(2**40)),
            gauge("z", "Nothing known."),
        ]
    )
    assert text == (
        "# HELP x_total What\\nit is.\n"
        "# TYPE x_total counter\n"
        'x_total{kind="a"} 3\n'
        'x_total{kind="b\\"\\\\\\n"} 0.5\n'
        "# HELP y Now.\n"
        "# TYPE y gauge\n"
        "y 1099511627776\n"
        "# HELP z Nothing known.\n"
        "# TYPE z gauge\n"
    )


def test_histograms_are_cumulative() -> None:
    observed = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 3.0):
        observed.observe(seconds)
    assert observed.counts == [2, 1, 1]
    assert render([histogram("t_seconds", "Time.", observed)]).splitlines()[2:] == [
        't_seconds_bucket{le="0.1"} 2',
        't_seconds_bucket{le="1"} 3',
        't_seconds_bucket{le="+Inf"} 4',
        "t_seconds_sum 3.65",
        "t_seconds_count 4",
    ]
