import unittest

from textkit.lines import dedent_all, longest


class LinesTest(unittest.TestCase):
    def test_dedent_all_keeps_the_words(self):
        self.assertEqual(dedent_all("  a\n   b"), "a\nb")

    def test_longest_of_nothing_is_empty(self):
        self.assertEqual(longest(""), "")
