#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of the house that a machine can check. house.py OBJECT... takes the objects of core/;
house.py --lines only counts."""
import glob
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

FOLDERS = ["boot", "core", "arch", "drivers"]
LINE_BUDGET = 10_000
FILE_LINES = 450      # tables do not count
FUNCTION_LINES = 60

# A folder is a permission: what its files may include, by regular expression.
STANDARD = r"<(stdint|stddef|stdbool|stdarg)\.h>"
MAY_INCLUDE = {
    "boot": rf"{STANDARD}|\"(core|boot)/.*",
    "core": rf"{STANDARD}|\"(core|gen)/.*",
    "arch": rf"{STANDARD}|\"(core|arch|drivers)/.*|\"boot/layout\.h\"",
    "drivers": rf"{STANDARD}|\"(core|drivers)/.*|\"arch/x86/(cpu|msr)\.h\"",
    "guests": r"<.*|\"(guests|boot|core|arch)/.*",
    "tests": r".*",
}
MAY_USE_ASM = {"arch/x86/cpu.h", "arch/x86/msr.h", "arch/x86/vmcs.h"}
COMPILER_CALLS = {"memcpy", "memmove", "memset", "memcmp"}


def sources(*folders):
    for folder in folders:
        for ending in ("c", "h", "S"):
            yield from sorted(glob.glob(f"{folder}/**/*.{ending}", recursive=True))


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return file.read().split("\n")[:-1]


def without_comments(lines):
    """The same number of lines, comments and strings blanked."""
    text = "\n".join(lines)
    blank = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", re.DOTALL)
    return blank.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text).split("\n")


def check_head(path, lines):
    if not any("SPDX-License-Identifier: Apache-2.0" in line for line in lines[:2]):
        yield path, 1, "no SPDX line"
    if path.endswith(".h") and "#pragma once" not in (line.strip() for line in lines):
        yield path, 1, "no #pragma once"


def check_includes(path, lines):
    allowed = MAY_INCLUDE[path.split("/")[0]]
    for number, line in enumerate(lines, 1):
        match = re.match(r"\s*#\s*include\s+(\S+)", line)
        if match and not re.fullmatch(allowed, match[1]):
            yield path, number, f"may not include {match[1]}"
    own = f'"{path[:-2]}.h"'
    included = [m[1] for m in (re.match(r"#include\s+(\S+)", line) for line in lines) if m]
    if path.endswith(".c") and own in included and included[0] != own:
        yield path, 1, f"its own header {own} comes first"


def check_code(path, lines):
    code = without_comments(lines)
    for number, line in enumerate(code, 1):
        if path.endswith((".c", ".h")) and path not in MAY_USE_ASM and \
                re.search(r"\b(asm|__asm__)\b", line):
            yield path, number, "inline assembly outside " + ", ".join(sorted(MAY_USE_ASM))
        if re.match(r"\s*#\s*(if|ifdef|elif)\b", line):
            yield path, number, "a variant by the preprocessor: link another file instead"
    for number, line in enumerate(lines, 1):
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            yield path, number, "unfinished: file an issue instead"
    packed = re.findall(r"struct (\w+) \{[^}]*\} __attribute__\(\(packed", "\n".join(code))
    for name in packed:
        if not re.search(rf"_Static_assert\(sizeof\(struct {name}\)", "\n".join(code)):
            yield path, 1, f"no _Static_assert on the size of struct {name}"


def check_formats(path, lines):
    """core/str.c prints less than a compiler lets pass."""
    for number, line in enumerate(lines, 1):
        for literal in re.findall(r"\"((?:\\.|[^\"\\])*)\"", line):
            rest = re.sub(r"%[-0]?\d*(s|\.\*s|[lz]?[ux]|%)", "", literal)
            if "%" in rest:
                yield path, number, "a conversion that core/str.h does not have"


def check_lengths(path, lines):
    """Functions from `) {` to `}` in column 1; a file without its tables (`= {` to `};`)."""
    start = None
    table = 0
    in_table = False
    for number, line in enumerate(lines, 1):
        if path.endswith(".S"):
            break
        if start is None and line.endswith(") {"):
            start = number
        elif line == "}" and start:
            if number - start - 1 > FUNCTION_LINES:
                yield path, start, f"function of {number - start - 1} lines (limit {FUNCTION_LINES})"
            start = None
        in_table = in_table or (not line.startswith(" ") and line.endswith("= {"))
        table += in_table
        in_table = in_table and line != "};"
    if len(lines) - table > FILE_LINES:
        yield path, 1, f"{len(lines) - table} lines without tables (limit {FILE_LINES})"


def nm(flag, objects):
    done = subprocess.run(["nm", flag, *objects], capture_output=True, text=True, check=True)
    return {line.split()[-1] for line in done.stdout.split("\n") if line and line[-1] != ":"}


def check_symbols(objects):
    """core/ may need from outside what host.h declares and what compilers call by themselves."""
    seam = set(re.findall(r"\b(host_\w+)\(", "\n".join(without_comments(read_lines("core/host.h")))))
    needed = nm("-u", objects) - nm("--defined-only", objects)
    for name in sorted(needed - seam - COMPILER_CALLS):
        yield "core", 1, f"needs {name} from outside, which core/host.h does not declare"


def count_lines():
    """Printed, not judged: the budget is a matter of review."""
    counts = {folder: [0, 0] for folder in FOLDERS}
    for path in sources(*FOLDERS):
        lines = read_lines(path)
        counts[path.split("/")[0]][0] += len(lines)
        counts[path.split("/")[0]][1] += sum(1 for line in without_comments(lines) if line.strip())
    words = ", ".join(f"{folder} {total}" for folder, (total, _) in counts.items())
    print(f"lines: {words}; {sum(total for total, _ in counts.values())} of {LINE_BUDGET}, "
          f"{sum(code for _, code in counts.values())} of them neither blank nor comment")


def main():
    os.chdir(TOP)
    if sys.argv[1:] == ["--lines"]:
        count_lines()
        return 0
    faults = list(check_symbols(sys.argv[1:])) if sys.argv[1:] else []
    for path in sources(*FOLDERS, "guests", "tests"):
        lines = read_lines(path)
        faults += check_head(path, lines)
        faults += check_includes(path, lines)
        if path.split("/")[0] in FOLDERS:
            faults += check_code(path, lines)
            faults += check_lengths(path, lines)
            if path not in MAY_USE_ASM:
                faults += check_formats(path, lines)
    for path in glob.glob("**/*.py", recursive=True) + glob.glob("**/*.sh", recursive=True):
        if not path.startswith("build/"):
            faults += check_head(path, read_lines(path)[:5])
    for path, number, what in faults:
        print(f"{path}:{number}: {what}")
    count_lines()
    print(f"house rules: {len(faults)} broken" if faults else "house rules: all kept")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
