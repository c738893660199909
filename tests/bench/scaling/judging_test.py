#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""judging_test - does this benchmark know right from wrong; does the document say what it measures?

Needs no server and none of the engines; ctest runs it."""
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import claims
import frames
import report
from outcome import ERROR, MISS, OLD, RIGHT, WRONG, Event, Ledger, Tally, value_of


class Judging(unittest.TestCase):
    def setUp(self):
        self.ledger = Ledger()
        for _ in range(2):
            self.ledger.next_value("k")
            self.ledger.stored("k")

    def test_what_was_acknowledged_last_is_right(self):
        self.assertEqual(self.ledger.judge("k", value_of("k", 2)), RIGHT)

    def test_what_was_acknowledged_before_is_old(self):
        self.assertEqual(self.ledger.judge("k", value_of("k", 1)), OLD)

    def test_a_store_that_failed_may_have_happened(self):
        self.ledger.next_value("k")
        for version in (2, 3):
            self.assertEqual(self.ledger.judge("k", value_of("k", version)), RIGHT)

    def test_an_acknowledged_store_ends_the_doubt(self):
        self.ledger.next_value("k")
        self.ledger.next_value("k")
        self.ledger.stored("k")
        self.assertEqual(self.ledger.judge("k", value_of("k", 3)), OLD)

    def test_nothing_is_a_miss(self):
        self.assertEqual(self.ledger.judge("k", None), MISS)

    def test_what_was_never_written_is_wrong(self):
        for value in (b"", b"\0" * 4096, value_of("other", 2), value_of("k", 3), value_of("k", 0),
                      value_of("k", 2)[:-1], value_of("k", 2) + b".", b"k -2 " + b"." * 200):
            self.assertEqual(self.ledger.judge("k", value), WRONG, value)

    def test_a_fill_is_no_new_version(self):
        self.assertEqual(self.ledger.newest_value("k"), value_of("k", 2))


class Tallying(unittest.TestCase):
    EVENTS = [Event(1.0, 0.1, "get", True, RIGHT), Event(2.0, 0.5, "get", True, ERROR),
              Event(2.5, 0.2, "get", True, MISS), Event(2.6, 0.9, "get", False, RIGHT),
              Event(3.0, 0.1, "get", True, ERROR)]

    def test_a_request_belongs_to_the_span_in_which_it_ended(self):
        tally = Tally(self.EVENTS, 2.0, 3.0)
        self.assertEqual(tally.total("get", True), 2)
        self.assertEqual(tally.percent("get", True, ERROR), 50)
        self.assertEqual(tally.percent("set", True, ERROR), 0)

    def test_the_longest_may_be_asked_of_some(self):
        tally = Tally(self.EVENTS, 0, 9)
        self.assertEqual((tally.longest(), tally.longest(True)), (0.9, 0.5))

    def test_slow_requests_are_counted(self):
        self.assertEqual(Tally(self.EVENTS, 0, 9).slow(), 3)

    def test_first_and_last_trouble(self):
        tally = Tally(self.EVENTS, 0, 9)
        self.assertEqual(tally.first(True, ERROR, MISS), 2.0)
        self.assertEqual(tally.last(True, ERROR), 3.0)
        self.assertIsNone(tally.last(False, ERROR))


class Documents(unittest.TestCase):
    TEXT = (HERE.parents[2] / "docs/scaling.md").read_text()

    def test_each_tag_is_claimed_once_and_documented(self):
        tags = [tag for tag, _, _, _ in claims.CLAIMS]
        self.assertEqual(len(tags), len(set(tags)))
        self.assertEqual(report.tags_differ(self.TEXT), set())

    def test_a_tag_too_many_is_seen(self):
        self.assertEqual(report.tags_differ(self.TEXT + " and this [Z9]."), {"Z9"})


class Frames(unittest.TestCase):
    def test_the_checksum_is_the_protocols(self):
        self.assertEqual(frames.crc32c(b"123456789"), 0xE3069283)


if __name__ == "__main__":
    unittest.main()
