"""Write the slug module and its test."""

from pathlib import Path

MODULE = '''"""Slugs for file names and links."""

import re


def slug(text: str) -> str:
    """Return *text* as lower-case words joined by hyphens."""
    return "-".join(re.findall(r"[a-z0-9]+", text.lower()))
'''
TEST = '''import unittest

from textkit.slugs import slug


class SlugTest(unittest.TestCase):
    def test_punctuation_becomes_one_hyphen(self):
        self.assertEqual(slug("Hello,  World!"), "hello-world")
'''

Path("textkit/slugs.py").write_text(MODULE)
Path("tests/test_slugs.py").write_text(TEST)
print("added textkit/slugs.py")
