from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from peerstack.reconcile import Fingerprint, Item, Sum, hashed_fingerprint, plain_hash

items = st.builds(Item, st.binary(min_size=1, max_size=40), st.binary(min_size=32, max_size=32))
ANA = Item(b"ana", bytes(32))
BEN = Item(b"ben", b"\xff" * 32)


def test_known_answers() -> None:
    assert Sum().fingerprint() == Fingerprint(0, bytes.fromhex("2c34ce1df23b838c5abf2a7f6437cca3"))
    assert (
        Sum.of(ANA).dump().hex()
        == "fc39b825e277ad9fa242428519ca05cf37bd1776455a539d44152ceb21cfc7fc"
    )
    assert (
        Sum.of(ANA).plus(Sum.of(BEN)).fingerprint().digest.hex()
        == "497094e471fecdc49e2e633bba097092"
    )
    assert (
        hashed_fingerprint([b"a" * 32, b"b" * 32]).digest.hex()
        == "fdd2a64d014f2c406d2ece67c23212a9"
    )
    assert (
        plain_hash(b"salt", [ANA, BEN]).hex()
        == "f09734d192e892967ad207f71c32965881781cf7617ef66ca5e51e03e3fec313"
    )


def test_a_sum_wraps_at_two_to_the_256() -> None:
    largest = Sum(1, 2**256 - 1)

    assert largest.plus(Sum(1, 2)) == Sum(2, 1)
    assert Sum(2, 1).minus(Sum(1, 2)) == largest


@given(st.lists(items), st.lists(items), st.randoms())
def test_a_sum_depends_on_the_items_only(
    kept: list[Item], removed: list[Item], random: Random
) -> None:
    events = [*kept, *removed]
    random.shuffle(events)
    total, plain = Sum(), Sum()

    for item in events:
        total = total.plus(Sum.of(item))
    for item in removed:
        total = total.minus(Sum.of(item))
    for item in kept:
        plain = plain.plus(Sum.of(item))

    assert total == plain
    assert Sum.load(total.count, total.dump()) == total


def test_equal_totals_of_different_counts_have_different_fingerprints() -> None:
    assert Sum(1, 7).fingerprint().digest != Sum(2, 7).fingerprint().digest


def test_the_border_between_key_and_digest_counts() -> None:
    one, other = Item(b"ab", b"c"), Item(b"a", b"bc")

    assert Sum.of(one) != Sum.of(other)
    assert plain_hash(b"salt", [one]) != plain_hash(b"salt", [other])


def test_a_plain_hash_tells_sets_of_equal_sums_apart() -> None:
    """What the audit is for: here the sums are made equal by hand, as a forger would."""
    honest = [ANA, BEN]
    forged = [Item(b"x", bytes(32)), Item(b"y", bytes(32))]
    debt = Sum.of(ANA).plus(Sum.of(BEN)).minus(Sum.of(forged[0])).minus(Sum.of(forged[1]))
    forged_sum = Sum.of(forged[0]).plus(Sum.of(forged[1])).plus(debt)

    assert forged_sum.fingerprint() == Sum.of(ANA).plus(Sum.of(BEN)).fingerprint()
    assert plain_hash(b"salt", forged) != plain_hash(b"salt", honest)
