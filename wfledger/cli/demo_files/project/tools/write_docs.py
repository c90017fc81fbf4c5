"""Write a page of the documentation: `write_docs.py handbook|glossary`."""

import sys
from pathlib import Path

PAGES = {
    "handbook": "# Handbook\n\nSee the [glossary](glossary.md) for the words used here.\n",
    "glossary": "# Glossary\n\n**slug**: a text as lower-case words joined by hyphens.\n",
}

name = sys.argv[1]
Path(f"docs/{name}.md").write_text(PAGES[name])
print(f"wrote docs/{name}.md")
