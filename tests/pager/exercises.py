#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""exercises - does every exercise by itself and says where one fails.

usage: exercises.py EXERCISE [BYTES]"""
import subprocess
import sys

BYTES = 4 << 20


def names(exercise):
    done = subprocess.run([exercise, "--list"], capture_output=True, text=True, check=True)
    return done.stdout.split()


def alone(exercise, name, size):
    """What it says, which is the same for the same size, whoever keeps its memory."""
    done = subprocess.run([exercise, name, str(size)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{name}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    assert done.stdout.split()[-2] == name, done.stdout
    return done.stdout


def main():
    exercise, size = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else BYTES
    every = names(exercise)
    assert len(every) > 30
    for name in every:
        said = alone(exercise, name, size)
        assert said == alone(exercise, name, size), f"{name}: another checksum each time"


if __name__ == "__main__":
    main()
