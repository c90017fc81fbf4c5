"""Write the word count module and its test."""

from pathlib import Path

MODULE = '''"""Word counts."""

from collections import Counter


def count_words(text: str) -> Counter[str]:
    """Return how often each word occurs, in lower case."""
    return Counter(text.lower().split())
'''
TEST = '''import unittest

from textkit.wordcount import count_words


class WordCountTest(unittest.TestCase):
    def test_case_does_not_matter(self):
        self.assertEqual(count_words("A a b")["a"], 2)
'''

Path("textkit/wordcount.py").write_text(MODULE)
Path("tests/test_wordcount.py").write_text(TEST)
print("added textkit/wordcount.py")
