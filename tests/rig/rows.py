#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds tests/rows.txt against the names of the tests: a row that needs a test and has none, or a test that names
no row there is, is a fault. Prints rows covered of rows asked, by letter; `-v` also lists who covers what."""
import collections
import glob
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ID = r"(?<![A-Za-z0-9])(?:V\d{3}|[CKGXYM]\d{2}|[ID]\d)(?![0-9A-Za-z])"

# Where the names of tests stand. An underscore ends an id in a function's name.
NAMES = {
    "tests/unit/test_*.c": r"cmocka_unit_test(?:_setup(?:_teardown)?)?\(\s*(\w+)|^\s*\{\"([CKVGXYM]\d\d[^\"]*)\"",
    "guests/rows/*.c": r"EXPECT\(\s*\"([^\"]+)\"|^\s*\{\"([^\"]+)\", \w+, \"",
    "guests/*.c": r"EXPECT\(\s*\"([^\"]+)\"",
    "tests/system/test_*.py": r"^def (test_\w+)|^ROW = \"([^\"]+)\"",
}


def rows():
    """{id: why no test is needed, or None}"""
    found = {}
    with open("tests/rows.txt", encoding="utf-8") as file:
        for line in file:
            if not line.startswith("#"):
                text, _, why = line.rstrip("\n").partition(" -- ")
                found[text.split()[0]] = why or None
    return found


def named():
    """{id: [file: name of the test]}"""
    tests = collections.defaultdict(list)
    for pattern, expression in NAMES.items():
        for path in sorted(glob.glob(pattern)):
            with open(path, encoding="utf-8") as file:
                text = file.read()
            for match in re.finditer(expression, text, re.MULTILINE):
                name = next(group for group in match.groups() if group)
                for row in re.findall(ID, name.replace("_", " ")):
                    tests[row].append(f"{path}: {name}")
    return tests


def main():
    os.chdir(TOP)
    asked, tests = rows(), named()
    needed = [row for row, why in asked.items() if why is None]
    missing = [row for row in needed if row not in tests]
    unknown = sorted(row for row in tests if row not in asked)
    if "-v" in sys.argv[1:]:
        for row in asked:
            print(row, *(tests.get(row) or [f"-- {asked[row]}"]), sep="\n    ")
    for row in unknown:
        print(f"{tests[row][0]}: tests/rows.txt has no row {row}")
    by_letter = collections.Counter(row[0] for row in needed)
    covered = collections.Counter(row[0] for row in needed if row in tests)
    counts = ", ".join(f"{letter} {covered[letter]}/{count}" for letter, count in by_letter.items())
    print(f"rows with a test: {counts}; {sum(covered.values())} of {len(needed)}, "
          f"{len(asked) - len(needed)} more need none (tests/rows.txt says why)")
    if missing:
        print("no test names:", *missing)
    return 1 if missing or unknown else 0


if __name__ == "__main__":
    sys.exit(main())
