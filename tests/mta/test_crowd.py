"""Counting connections over several processes."""

from __future__ import annotations

import os

from mta.crowd import Crowd, Place

ANT, BEE = "192.0.2.1", "2001:db8::/64"


def entered(place: Place | None) -> tuple[int, int]:
    assert place is not None
    return place.total, place.of_client


def test_all_and_those_of_a_client_are_counted_over_all_processes() -> None:
    crowd = Crowd(["front", "edge-1"], places=3)
    front, edge = crowd.turnstile("front"), crowd.turnstile("edge-1")
    first = front.enter(ANT)
    assert first is not None
    assert entered(first) == (1, 1)
    assert entered(edge.enter(BEE)) == (2, 1)
    assert entered(edge.enter(ANT)) == (3, 2)
    front.leave(first)
    assert (front.total, edge.total) == (2, 2)
    assert entered(front.enter(ANT)) == (3, 2)


def test_a_process_has_only_so_many_places() -> None:
    turnstile = Crowd(places=2).turnstile()
    places = [turnstile.enter(ANT) for _ in range(3)]
    assert [place is None for place in places] == [False, False, True]
    assert places[0] is not None
    turnstile.leave(places[0])
    assert entered(turnstile.enter(ANT)) == (2, 2)


def test_what_a_process_had_goes_with_it() -> None:
    crowd = Crowd(["front", "edge-1"], places=3)
    front, dead = crowd.turnstile("front"), crowd.turnstile("edge-1")
    for _ in range(3):
        dead.enter(ANT)
    crowd.turnstile("edge-1")
    assert entered(front.enter(ANT)) == (1, 1)


def test_processes_that_were_forked_see_each_other() -> None:
    crowd = Crowd(["front", "edge-1"], places=3)
    child = os.fork()
    if child == 0:
        crowd.turnstile("edge-1").enter(ANT)
        os._exit(0)
    os.waitpid(child, 0)
    assert entered(crowd.turnstile("front").enter(ANT)) == (2, 2)
