# SPDX-License-Identifier: BSD-3-Clause
"""stories - what may happen to a machine that swaps, and how it must end.

A guest with less memory than its hog (guest/hog.c) swaps onto our exports. At chosen moments of the
hog's way something happens to the servers; what the hog found in each page is the verdict."""
import contextlib
import dataclasses
import pathlib
import threading

import guest
import servers

MIN_FREE_KBYTES = 24576
SIZE_MIB = 512
MARKS = ("round 0 half", "round 1 begins", "round 1 half", "round 2 begins", "round 2 half")


@dataclasses.dataclass
class Story:
    """`disk` is what the guest makes of the exports; `client` are more options of nbd-client."""
    sentence: str
    disk: str
    exports: int = 1
    fault: str = ""      # killed, frozen, or restarted empty: the last server, in the middle
    client: str = ""
    must: str = "whole"  # or "lost": errors, but never a wrong page
    members: str = ""    # of the array, in the end
    memory_mib: int = 192
    hog_mib: int = 200
    rounds: int = 2
    timeout_s: int = 30
    connections: int = 2
    min_free_kbytes: int = MIN_FREE_KBYTES  # 0: as the kernel, or `farpage swap on`, has it
    keep_mib: int = 24
    rejoin: bool = False  # the guest takes the server in again; then the first one is killed


RECONNECTS = "-L,-persist"  # the old interface, in which nbd-client itself connects again
STORIES = {
    "single": Story("a machine swaps onto one export while the server is worked on", "farpage",
                    min_free_kbytes=0),
    "mirror": Story("of two servers that 'farpage swap on' made a mirror of, one may die", "farpage",
                    2, "killed", members="U_", min_free_kbytes=0),
    "raid1": Story("with md RAID1 over two servers, one may die", "raid1", 2, "killed",
                   members="U_"),
    "raid1-frozen": Story("with md RAID1, a silent server costs the timeout for each connection",
                          "raid1", 2, "frozen", members="U_"),
    "raid1-restarted": Story("a server that comes back empty is out of the RAID1", "raid1", 2,
                             "restarted empty", RECONNECTS, members="U_"),
    "raid1-rejoined": Story("a server that died takes its place again, and then the other may die",
                            "raid1", 2, "restarted empty", members="_U", rejoin=True, rounds=4),
    "raid10": Story("md RAID10 spreads pages over four exports", "raid10", 4, members="UUUU"),
    "raid10-killed": Story("with md RAID10 over four exports, one may die", "raid10", 4, "killed",
                           members="UUU_"),
    "nbdfuse": Story("without an nbd module, nbdfuse and a loop device make swap of an export",
                     "nbdfuse", memory_mib=96, hog_mib=256),
    "alone-killed": Story("without a mirror, a dead server's pages are errors", "single", 1,
                          "killed", must="lost"),
    "alone-restarted": Story("a single server that comes back empty gives errors, no wrong pages",
                             "single", 1, "restarted empty", RECONNECTS, must="lost"),
}


@dataclasses.dataclass
class Outcome:
    verdict: str = ""
    why: list = dataclasses.field(default_factory=list)
    done: list = dataclasses.field(default_factory=list)
    bad: int = -1
    lost: int = -1
    longest_ms: int = 0
    swapped_in: int = 0
    swapped_out: int = 0
    seconds: float = 0.0
    resident_mib: int = 0


def settings(story, exported):
    keys = ("disk", "hog_mib", "rounds", "connections", "client", "min_free_kbytes", "keep_mib",
            "rejoin")
    words = {key: getattr(story, key) for key in keys}
    return {**words, "timeout": story.timeout_s, "seed": 7, "export": exported[0].EXPORT,
            "ports": ",".join(str(server.port) for server in exported)}


class Meanwhile:
    """What happens on this side; in a thread, so that the guest's lines are read all the time."""

    def __init__(self, story, exported, outcome):
        self.story, self.exported, self.outcome = story, exported, outcome
        self.steps, self.threads = 0, []

    def on(self, mark):
        if mark == "rejoined":
            self._start(self._kill_first)
        elif mark == "round 1 half" and self.story.fault:
            self._start(self._fault)
        elif not self.story.fault:
            self._start(self._disturb)

    def _start(self, what):
        self.threads.append(threading.Thread(target=self._run, args=(what,)))
        self.threads[-1].start()

    def _run(self, what):
        try:
            what()
        except Exception as failure:  # a thread's exception is nobody's otherwise
            self.outcome.why.append(str(failure))

    def _fault(self):
        victim = self.exported[-1]
        if self.story.fault == "frozen":
            victim.freeze()
        else:
            victim.kill()
        if self.story.fault == "restarted empty":
            victim.start()
        if self.story.rejoin:
            victim.recreate()
        self.outcome.done.append(self.story.fault)

    def _kill_first(self):
        self.exported[0].kill()
        self.outcome.done.append("rejoined, and the other killed")

    def _disturb(self):
        step, self.steps = self.steps, self.steps + 1
        for server in self.exported:
            if said := server.disturb(step):
                self.outcome.done.append(said)

    def finish(self):
        for thread in self.threads:
            thread.join(timeout=120)


def judge(story, machine, outcome):
    """Fills in what the guest said and whether it is what must be."""
    why, rounds = outcome.why, [line.split() for line in machine.said("round") if "pages" in line]
    for words in rounds:
        outcome.longest_ms = max(outcome.longest_ms, int(words[words.index("longest_ms") + 1]))
    if ends := machine.said("hog ends"):
        outcome.bad, outcome.lost = int(ends[-1].split()[1]), int(ends[-1].split()[3])
    if swapped := machine.said("swapped"):
        outcome.swapped_in, outcome.swapped_out = (int(swapped[-1].split()[i]) for i in (1, 3))
    outcome.verdict = (machine.said("verdict") or ["none"])[-1]
    if outcome.bad:
        why.append(f"{outcome.bad} pages came back wrong" if outcome.bad > 0 else "no last count")
    if story.must == "whole" and outcome.verdict != "hog 0 swapoff good":
        why.append(f"verdict: {outcome.verdict}")
    if story.must == "lost" and outcome.lost <= 0:
        why.append("no page was lost, so nothing was tried")
    if outcome.swapped_out * 4096 < (story.hog_mib - story.memory_mib) << 20:
        why.append("it did not swap")
    if story.disk == "farpage" and f"min_free_kbytes {MIN_FREE_KBYTES}" not in " ".join(
            machine.said("swap on")):
        why.append("`farpage swap on` did not see to vm.min_free_kbytes")
    if story.members and machine.said("members") != [story.members]:
        why.append(f"members {machine.said('members')}, not {story.members}")
    if machine.panicked():
        why.append("the kernel panicked")


def notice(text, meanwhile):
    """A line of the hog's may be when something is to happen."""
    for mark in MARKS:
        if text.startswith("FP " + mark) and text.endswith(mark):
            meanwhile.on(mark)
    if text.startswith("FP rejoined"):
        meanwhile.on("rejoined")


def tell(story, programs, work, seconds):
    """Runs a story; the guest's console is kept in `work`."""
    outcome, kind = Outcome(), servers.KINDS[programs.server]
    with contextlib.ExitStack() as stack:
        exported = [stack.enter_context(kind(programs, SIZE_MIB)) for _ in range(story.exports)]
        meanwhile = Meanwhile(story, exported, outcome)
        machine = stack.enter_context(guest.Guest(
            programs.kernel, programs.initrd, story.memory_mib, settings(story, exported),
            pathlib.Path(work) / "console"))
        try:
            for at, text in machine.follow(seconds):
                outcome.seconds = at
                notice(text, meanwhile)
                if text.startswith("FP swapped"):
                    outcome.resident_mib = sum(server.resident_mib() for server in exported
                                               if server.process.poll() is None)
        except TimeoutError as late:
            outcome.why.append(str(late))
        meanwhile.finish()
        judge(story, machine, outcome)
    return outcome
