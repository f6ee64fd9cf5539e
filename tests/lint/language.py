#!/usr/bin/env python3
"""language.py [--count] [PATH...]: share of sentences that contain a marker of unidiomatic prose.

Reads the tracked files below each PATH (default: all) in three groups: comments of C, CUDA, shell and
Python files; messages, which are the string literals of C files with at least four words; pages, which are
Markdown files. Prints each sentence with a marker as FILE:LINE: MARKER: SENTENCE, then the share of each group.
Fails if a share is 1 % or more. --count prints the shares only.
"""
import os
import re
import subprocess
import sys

LIMIT = 0.01
MARKERS = {
    # "what it has not begun": a clause in place of a noun.
    "free relative": r"\bwhat(?:ever)?\b(?! (?:is this|to do)\b)",
    "is there": r"\b(?:is|are|was|were|be) (?:all |not |still |already )?there\b(?! (?:a|an|no|any)\b)",
    "under way": r"\b(?:under way|on (?:its|their|the) way)\b",
    "so many": r"\bso (?:many|much|few|long|often)\b(?! (?:as|that)\b)",
    "person": r"\b(?:whoever|nobody|somebody|anybody|himself|everybody)\b",
    "begun": r"\bbegun\b",
    "go on": r"\b(?:go|goes|going|gone|went) on\b",
    "anew": r"\b(?:anew|(?:made|done) again)\b",
}
PATTERNS = {name: re.compile(text, re.IGNORECASE) for name, text in MARKERS.items()}
C_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|/\*.*?\*/|//[^\n]*', re.DOTALL)
C_FILES = (".c", ".h", ".cu", ".cuh", ".cpp")


def paragraphs_of_c(text):
    """Yields (line, text) of each comment; // comments on successive lines are one."""
    held = None
    for match in C_COMMENT.finditer(text):
        comment = match.group()
        if comment[0] != "/":
            continue
        line = text.count("\n", 0, match.start()) + 1
        lines = comment.count("\n") + 1
        if comment.startswith("//"):
            comment = comment[2:]
        else:
            comment = re.sub(r"\n[ \t]*\*", "\n", comment[2:-2])
        comment = comment.strip("*! \t\n")
        if held and line == held[2] and match.group().startswith("//"):
            held = (held[0], held[1] + "\n" + comment, line + 1)
            continue
        if held:
            yield held[:2]
        held = (line, comment, line + lines)
    if held:
        yield held[:2]


def paragraphs_of_script(text):
    """Yields (line, text) of each run of # lines."""
    held, first = [], 0
    for number, line in enumerate(text.split("\n") + [""], 1):
        match = re.match(r"\s*#(?!!)\s?(.*)", line)
        if match:
            first = first or number
            held.append(match.group(1))
        elif held:
            yield first, "\n".join(held)
            held, first = [], 0


def paragraphs_of_page(text):
    """Yields (line, text) of each paragraph or list item outside code blocks and tables."""
    held, first, code = [], 0, False
    for number, line in enumerate(text.split("\n") + [""], 1):
        if line.lstrip().startswith("```"):
            code = not code
            line = ""
        item = re.match(r"\s*(?:[-*#]+|\d+\.) ", line)
        if code or not line.strip() or line.lstrip().startswith("|") or line.startswith("    ") or item:
            if held:
                yield first, "\n".join(held)
            held, first = [], 0
            if code or not line.strip() or line.lstrip().startswith("|") or (line.startswith("    ") and not item):
                continue
        first = first or number
        held.append(line)


def sentences(paragraph):
    """Yields (offset in lines, sentence); a sentence has at least three words."""
    start = 0
    for end in [m.end() for m in re.finditer(r"[.!?:](?=\s|$)|\n[ \t]*\n|$", paragraph)]:
        sentence = paragraph[start:end]
        if len(re.findall(r"[A-Za-z]{2,}", sentence)) >= 3:
            yield paragraph.count("\n", 0, start), " ".join(sentence.split())
        start = end


def paragraphs(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    if path.endswith(C_FILES):
        return paragraphs_of_c(text)
    if path.endswith(".md"):
        return paragraphs_of_page(text)
    return paragraphs_of_script(text)


def messages(path):
    """Yields (line, text) of the string literals of a C file; adjacent literals are one."""
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.DOTALL)
    for match in re.finditer(r'"(?:\\.|[^"\\\n])*"(?:\s*(?:PRI\w+\s*)?"(?:\\.|[^"\\\n])*")*', text):
        message = re.sub(r'"\s*(?:PRI\w+\s*)?"', "", match.group()).strip('"').replace("\\n", " ")
        if len(re.findall(r"[A-Za-z]{2,}", message)) >= 4:
            yield text.count("\n", 0, match.start()) + 1, message


def groups(paths):
    """Returns {group: [(path, line, sentence)]} of the tracked files below the paths."""
    files = subprocess.run(["git", "ls-files", "--"] + paths, check=True, capture_output=True, text=True).stdout.split("\n")
    found = {"comments": [], "messages": [], "pages": []}
    for path in files:
        if not path.endswith(C_FILES + (".md", ".sh", ".py", ".txt", ".sbatch")) or not os.path.isfile(path):
            continue
        if os.path.basename(path) == "language.py" or path.startswith("bench/results/"):
            continue
        group = found["pages" if path.endswith(".md") else "comments"]
        group += [(path, line + offset, sentence) for line, text in paragraphs(path) for offset, sentence in sentences(text)]
        if path.endswith(C_FILES):
            found["messages"] += [(path, line, text) for line, text in messages(path)]
    return found


def main():
    arguments = sys.argv[1:]
    if not [a for a in arguments if a != "--count"]:
        os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    quiet = "--count" in arguments
    failed = False
    for group, rows in groups([a for a in arguments if a != "--count"]).items():
        marked = 0
        for path, line, sentence in rows:
            names = [name for name, pattern in PATTERNS.items() if pattern.search(sentence)]
            marked += bool(names)
            if names and not quiet:
                print(f"{path}:{line}: {', '.join(names)}: {sentence}")
        if rows:
            print(f"{group}: {marked} of {len(rows)} sentences have a marker, {100 * marked / len(rows):.1f} %")
            failed = failed or marked >= LIMIT * len(rows)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
