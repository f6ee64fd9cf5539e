#!/usr/bin/env python3
"""messages.py: every message that docs/troubleshooting.md quotes exists in src, and every link of a page has its file."""
import os
import re
import subprocess
import sys

import language

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
FILES = subprocess.run(["git", "ls-files"], check=True, capture_output=True, text=True).stdout.split("\n")


def missing_messages():
    """Yields the quoted messages that no string of src contains; % stands for any conversion."""
    texts = " ".join(text for path in FILES if path.startswith("src/") and path.endswith(".c")
                     for _, text in language.messages(path))
    with open("docs/troubleshooting.md", encoding="utf-8") as page:
        quotes = re.findall(r"^\| `([^`]+)` \|", page.read(), re.MULTILINE)
    assert len(quotes) >= 10, "docs/troubleshooting.md: its tables quote no messages"
    for quote in quotes:
        if not re.search(re.escape(quote).replace("%s", "%.{0,4}?"), texts):
            yield f"docs/troubleshooting.md: no message contains '{quote}'"


def broken_links():
    for path in FILES:
        if not path.endswith(".md") or not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as page:
            text = page.read()
        for target in re.findall(r"\]\(([^)#\s]+)|^\[[^]]+\]: (\S+)", text, re.MULTILINE):
            target = target[0] or target[1]
            if "://" not in target and not os.path.exists(os.path.join(os.path.dirname(path), target)):
                yield f"{path}: link to {target}, which does not exist"


FOUND = list(missing_messages()) + list(broken_links())
print("\n".join(FOUND))
sys.exit(1 if FOUND else 0)
