#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What each row of guests/bench costs in a partition and elsewhere, in the same emulated machine: one table. With
--picture also build/bench/rows.csv and rows.svg; --record writes tests/bench/recorded.txt anew."""
import argparse
import csv
import importlib
import os
import subprocess

import instrument
from instrument import BARS, FREE, OUT


def peer(name, *args):
    """measure() of the module that boots a peer: {row: ticks} for the rows it is asked for, None = all."""
    return lambda rows: importlib.import_module(name).measure(rows, *args)


def ticks_of(rows):
    return {row: it.ticks for row, it in rows.items()}


# Beside ours: how to come by {row: ticks}, and the digits of ours in relation to it, None = not of interest.
COLUMNS = {
    "kvm": (peer("kvm", "default"), 3),
    "kvm-off": (peer("kvm", "off"), None),
    "native": (lambda rows: ticks_of(instrument.measure_native(rows)), 2),
    "floor": (peer("floor"), None),
    "floor-asm": (peer("floor", "asm"), None),
    "recorded": (lambda rows: ticks_of(instrument.recorded()), 3),
}
COUNTS = ["exits", "vmreads", "vmwrites"]


def shown(value, digits=1):
    return "-" if value is None else f"{value:.{digits}f}"


def ratio(ticks, base):
    return ticks / base if base else None


def limit(row, ticks, native):
    """What it may cost, marked if it costs more."""
    over = instrument.over(row, ticks, native)
    return str(BARS.get(row, "native" if row in FREE else "")) + ("!" if over else "")


def print_table(ours, others):
    ratios = {column: COLUMNS[column][1] for column in others if COLUMNS[column][1] is not None}
    width = max(len(column) for column in [*others, *COUNTS]) + 4
    lines = [["ticks a turn", "ours", *others, *(f"/ {column}" for column in ratios), *COUNTS, "at most"]]
    for row, it in ours.items():
        base = {column: others[column].get(row) for column in others}
        lines.append([row, shown(it.ticks), *(shown(ticks) for ticks in base.values()),
                      *(shown(ratio(it.ticks, base[column]), digits) for column, digits in ratios.items()),
                      *(shown(count) for count in it[1:]), limit(row, it.ticks, base.get("native"))])
    for row, *cells in lines:
        print(f"{row:18}" + "".join(f"{cell:>{width}}" for cell in cells))


def write_csv(path, ours, others):
    with open(path, "w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["row", "ours", *others, *COUNTS])
        for row, it in ours.items():
            out.writerow([row, it.ticks, *(table.get(row, "") for table in others.values()), *it[1:]])


# Each row a group of bars; the scale is logarithmic, so that what is free shows beside what is not.
PLOT = """\
set terminal svg size 1400,600 dynamic background "white"
set output "{svg}"
set datafile separator ","
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set logscale y
set yrange [0.5:]
set ylabel "ticks a turn"
set grid ytics
set xtics rotate by -45 noenhanced
set key top right horizontal noenhanced
set rmargin 12
plot for [column=2:{last}] "{csv}" using column:xtic(1) title columnhead(column)
"""


def write_svg(path, csv_path, columns):
    """A bar a row for each of the first columns behind the row's name."""
    script = PLOT.format(svg=path, csv=csv_path, last=columns + 1)
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("columns", nargs="*", help=f"beside ours: {', '.join(COLUMNS)}")
    parser.add_argument("--rows", default="", help="names, separated by commas; default: all")
    parser.add_argument("--picture", action="store_true")
    parser.add_argument("--record", action="store_true")
    args = parser.parse_args()
    unknown = set(args.columns) - set(COLUMNS)
    if unknown:
        parser.error(f"there is no column {', '.join(unknown)}")
    rows = args.rows.split(",") if args.rows else None
    ours = instrument.measure_ours(rows)
    others = {column: COLUMNS[column][0](rows) for column in args.columns}
    print_table(ours, others)
    if args.picture:
        csv_path = os.path.join(OUT, "rows.csv")
        write_csv(csv_path, ours, others)
        write_svg(os.path.join(OUT, "rows.svg"), csv_path, 1 + len(others))
    if args.record:
        instrument.record(ours)


if __name__ == "__main__":
    main()
