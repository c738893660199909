# SPDX-License-Identifier: BSD-3-Clause
"""graph VERTICES - igraph: a Barabasi-Albert graph of so many vertices with eight edges each, its PageRank,
components and a search from one vertex. Random gathers, the worst there is for paging. Prints a checksum."""
import random
import sys

import igraph


def main():
    random.seed(1)
    igraph.set_random_number_generator(random)
    graph = igraph.Graph.Barabasi(int(sys.argv[1]), 8)
    ranks = graph.pagerank()
    parts = graph.connected_components()
    _, layers, _ = graph.bfs(0)
    print(f"{max(ranks):.9f} {ranks.index(max(ranks))} {len(parts)} {len(layers)}")


main()
