# SPDX-License-Identifier: BSD-3-Clause
"""taxi ROWS - pandas over so many made-up taxi trips: what an analyst asks of such a table. Scans and
large temporaries. Prints a checksum of the answers."""
import hashlib
import sys

import numpy
import pandas


def trips(rows):
    random = numpy.random.default_rng(1)
    return pandas.DataFrame({
        "vendor": random.integers(1, 3, rows).astype("int8"),
        "pickup": 1_420_000_000 + numpy.sort(random.integers(0, 31_536_000, rows)),
        "passengers": random.integers(1, 7, rows).astype("int8"),
        "distance": numpy.round(random.gamma(2, 1.5, rows), 2),
        "zone_from": random.zipf(1.5, rows).clip(max=265).astype("int16"),
        "zone_to": random.integers(1, 266, rows).astype("int16"),
        "fare": numpy.round(random.gamma(3, 4, rows), 2),
        "tip": numpy.round(random.exponential(1.5, rows), 2),
    })


def answers(table):
    yield table.groupby("passengers").fare.agg(["mean", "std", "count"])
    yield table.groupby(["zone_from", "vendor"]).tip.sum()
    table["minutes"] = table.distance / (5 + table.fare / 10) * 60
    table["hour"] = table.pickup // 3600 % 24
    yield table.groupby("hour").minutes.median()
    yield table.sort_values(["distance", "fare"], ascending=False).head(1000)
    yield table[["distance", "fare", "tip", "minutes"]].describe()
    yield table[["distance", "fare", "tip", "minutes"]].corr()
    yield table[table.tip > table.fare * 0.3].zone_to.value_counts()


def main():
    digest = hashlib.sha256()
    for answer in answers(trips(int(sys.argv[1]))):
        digest.update(answer.round(6).to_csv().encode())
    print(digest.hexdigest()[:16])


main()
