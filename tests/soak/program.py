#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""program - what `farpage run` runs in the soak: a table of SQLite in memory, changed at random and
sorted, and objects of Python beside it. It says one line, which depends on its seed alone.

usage: program.py SEED"""
import hashlib
import random
import sqlite3
import sys

ROWS, CHANGES, WORDS = 40000, 3000, 10000


def main(seed):
    made = random.Random(seed)
    table = sqlite3.connect(":memory:")
    table.execute("create table t (id integer primary key, word text, number integer)")
    table.executemany("insert into t values (?, ?, ?)", (
        (n, f"{made.getrandbits(64):016x}" * made.randrange(8, 40), made.getrandbits(30))
        for n in range(ROWS)))
    words = {f"{made.getrandbits(60):x}": [n] * 20 for n in range(WORDS)}
    for _ in range(CHANGES):
        table.execute("update t set number = number + ? where id = ?",
                      (made.randrange(100), made.randrange(ROWS)))
    digest = hashlib.sha256()
    for row in table.execute("select id, word, number from t order by number, id"):
        digest.update(repr(row).encode())
    for word in sorted(words):
        digest.update(word.encode() + bytes(words[word][0] % 256 for _ in range(3)))
    print(digest.hexdigest())


if __name__ == "__main__":
    main(int(sys.argv[1]))
