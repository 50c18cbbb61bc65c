#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A fuzzer's corpus: in the tree a text, an input a line in base64; to libFuzzer a directory of files.
corpus.py unpack TEXT DIRECTORY, corpus.py pack DIRECTORY TEXT"""
import base64
import hashlib
import os
import sys


def unpack(text, directory):
    os.makedirs(directory, exist_ok=True)
    with open(text, encoding="ascii") as file:
        for line in file:
            data = base64.b64decode(line, validate=False)
            with open(os.path.join(directory, hashlib.sha1(data).hexdigest()), "wb") as out:
                out.write(data)


def pack(directory, text):
    inputs = []
    for name in os.listdir(directory):
        with open(os.path.join(directory, name), "rb") as file:
            inputs.append(file.read())
    with open(text, "w", encoding="ascii") as out:
        for data in sorted(inputs, key=lambda data: (len(data), data)):
            out.write(base64.b64encode(data).decode() + "\n")


if __name__ == "__main__":
    {"unpack": unpack, "pack": pack}[sys.argv[1]](*sys.argv[2:])
