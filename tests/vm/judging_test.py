# SPDX-License-Identifier: BSD-3-Clause
"""judging_test - that what a guest says on its console is judged as it must be."""
import pathlib
import re
import unittest

import guest
import stories

GOOD = """FP swap on /dev/nbd0, 511 MiB, min_free_kbytes 24576
FP round 0 pages 51200 bad 0 lost 0 longest_ms 53 seconds 4.7
FP round 1 pages 51200 bad 0 lost 0 longest_ms 1250 seconds 11.7
FP swapped in 116060 out 94667 uptime 4.27 to 31.81
FP members U_
FP hog ends bad 0 lost 0
FP verdict hog 0 swapoff good"""


class Judging(unittest.TestCase):
    def judge(self, name, console):
        machine = guest.Console()
        machine.lines = [(0.0, line) for line in console.splitlines()]
        outcome = stories.Outcome()
        stories.judge(stories.STORIES[name], machine, outcome)
        return outcome

    def test_a_good_run_is_good_and_read_off(self):
        outcome = self.judge("raid1", GOOD)
        self.assertEqual(outcome.why, [])
        self.assertEqual((outcome.bad, outcome.lost, outcome.longest_ms, outcome.swapped_in,
                          outcome.swapped_out), (0, 0, 1250, 116060, 94667))

    def test_a_bad_page_fails_whatever_the_story(self):
        for name in stories.STORIES:
            outcome = self.judge(name, GOOD.replace("ends bad 0", "ends bad 3"))
            self.assertIn("3 pages came back wrong", outcome.why)

    def test_a_lost_page_fails_where_a_mirror_must_have_it(self):
        console = GOOD.replace("ends bad 0 lost 0", "ends bad 0 lost 9").replace("hog 0", "hog 3")
        self.assertIn("verdict: hog 3 swapoff good", self.judge("raid1", console).why)

    def test_losing_nothing_proves_nothing_where_pages_must_be_lost(self):
        self.assertIn("no page was lost, so nothing was tried", self.judge("alone-killed", GOOD).why)

    def test_a_guest_that_did_not_swap_proves_nothing(self):
        outcome = self.judge("raid1", GOOD.replace("out 94667", "out 12"))
        self.assertIn("it did not swap", outcome.why)

    def test_the_array_must_end_as_the_story_says(self):
        outcome = self.judge("raid1", GOOD.replace("members U_", "members UU"))
        self.assertIn("members ['UU'], not U_", outcome.why)

    def test_the_command_must_have_seen_to_the_reserve(self):
        outcome = self.judge("single", GOOD.replace("24576", "1117"))
        self.assertIn("`farpage swap on` did not see to vm.min_free_kbytes", outcome.why)

    def test_silence_and_panic_fail(self):
        self.assertTrue(self.judge("single", "").why)
        self.assertIn("the kernel panicked",
                      self.judge("raid1", GOOD + "\n[ 9.1] Kernel panic - not syncing").why)


class Documents(unittest.TestCase):
    def test_a_tag_names_a_story(self):
        tags = set()
        for page in (pathlib.Path(__file__).resolve().parents[2] / "docs").glob("*.md"):
            tags |= set(re.findall(r"\[vm/([\w-]+)\]", page.read_text()))
        self.assertTrue(tags)
        self.assertEqual(tags - set(stories.STORIES), set())


if __name__ == "__main__":
    unittest.main()
