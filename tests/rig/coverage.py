#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""coverage.py DIRECTORY: how many lines of core/ ran, by what gcc --coverage left under DIRECTORY: a row a file,
and the lines that never ran. Exit status 1 below LEAST percent of all."""
import collections
import glob
import json
import subprocess
import sys

LEAST = 95.0


def lines_run(directory):
    """{file of core/: {line: how often}}, summed up over all objects: headers are in many."""
    runs = collections.defaultdict(collections.Counter)
    done = subprocess.run(["gcov", "--json-format", "--stdout", *glob.glob(f"{directory}/**/*.gcda", recursive=True)],
                          capture_output=True, text=True, check=True)
    for report in done.stdout.splitlines():
        for file in json.loads(report)["files"]:
            if file["file"].startswith("core/"):
                for line in file["lines"]:
                    runs[file["file"]][line["line_number"]] += line["count"]
    return runs


def spans(numbers):
    """[1, 2, 3, 7] -> "1-3 7"."""
    words = []
    for number in sorted(numbers):
        if words and words[-1][1] == number - 1:
            words[-1][1] = number
        else:
            words.append([number, number])
    return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in words)


def row(name, ran, lines, note=""):
    print(f"{name:24} {ran:5} of {lines:5}  {100 * ran / lines:5.1f} %  {note}".rstrip())


def main():
    runs = lines_run(sys.argv[1])
    for name in sorted(runs):
        never = [line for line, count in runs[name].items() if count == 0]
        row(name, len(runs[name]) - len(never), len(runs[name]), spans(never))
    lines = sum(len(file) for file in runs.values())
    ran = sum(count > 0 for file in runs.values() for count in file.values())
    row("core", ran, lines)
    return 100 * ran < LEAST * lines


if __name__ == "__main__":
    sys.exit(main())
