# SPDX-License-Identifier: BSD-3-Clause
"""clients - each kind of client that stores, as an endless life that may be ended anywhere; and how
to see afterwards whether what it left is there. They are found by KINDS."""
import subprocess
import time

from areas import OK, Session
from bystanders import BYSTANDERS
from client import Client, Wrong
from hostile import ABSENT, INVALIDATE, frame
from journal import GONE, PAGE, content
from maps import DISCARD, PUBLISH, RO, RW, Mapper
from story import stats

NO_MEMORY = {3, 24}  # full, or above a quota: refused, and the old page stays


class Frames(Client):
    """Pages, one connection, stored, loaded, forgotten."""
    kind, makes = Session, True

    def door(self):
        return self.place.server

    def enter(self):
        end = time.monotonic() + 30
        while True:
            try:
                self.session = self.kind(self.door())
                self.area = self.session.open(self.name.encode(), self.slots if self.makes else 0)
                return
            except (AssertionError, OSError):  # the one before has not quite gone; no descriptor
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def look(self, slot):
        found = self.session.load(self.area, slot)
        if isinstance(found, int) and found != ABSENT:
            raise Wrong(f"{self.name}: slot {slot}: status {found}")
        self.check(slot, None if found == ABSENT else found)
        return 0 if found == ABSENT else PAGE

    def change(self, slot):
        gone = self.random.random() < 0.1
        version = self.journal.next(slot, gone)
        if gone:
            status = self.session.ask(frame(INVALIDATE, area=self.area, slot=slot, count=1))["status"]
            status = OK if status == ABSENT else status
        else:
            status = self.session.store(self.area, slot, content(self.name, slot, version))
        if status == OK:
            self.journal.done(slot)
        elif status in NO_MEMORY:
            self.journal.undone(slot)
        else:
            raise Wrong(f"{self.name}: slot {slot}: a store is answered with {status}")

    def step(self):
        slot = self.random.randrange(self.slots)
        if self.random.random() < 0.5:
            self.change(slot)
        else:
            self.look(slot)


class Door:
    """What Session takes for a server: TLS, and a user."""

    def __init__(self, place, user):
        self.place, self.user = place, user

    def connect(self, _, timeout):
        return self.place.secure(self.user, timeout)


class Tenant(Frames):
    """Pages over TLS, of a user whose tenant may hold fewer than there are slots."""

    def door(self):
        return Door(self.place, "batch")


class Maps(Frames):
    """Pages that are mapped, read, written in place; some are still mapped when it ends."""
    kind, slots = Mapper, 300

    def enter(self):
        super().enter()
        self.open = []

    def step(self):
        slot = self.random.randrange(self.slots)
        if self.random.random() < 0.6 or len(self.open) > 20:
            if self.open and self.random.random() < 0.7:
                self.session.unmap(self.open.pop(), DISCARD)
            self.change(slot) if slot % 2 else self.look(slot)
            return
        number = self.session.map(self.area, slot, self.random.choice([RO, RW]))
        if number <= 0:
            return
        if slot % 2:  # nobody but us changes it: it reads as it is kept
            self.check(slot, self.session.read(number))
            self.open.append(number)
            return
        version = self.journal.next(slot)
        status = self.session.write(number, 0, content(self.name, slot, version))
        if status == OK:
            status = self.session.unmap(number, PUBLISH)
        else:
            self.session.unmap(number, DISCARD)
        self.journal.done(slot) if status == OK else self.journal.undone(slot)


class Items(Client):
    """Items of all lengths; what gave way is missing, and never something else."""
    patience = 1

    @staticmethod
    def size(slot, version):
        return [10, 300, 5000, 90000][slot % 4] + version % 7

    def connect(self):
        return self.place.server.connect("tcp", timeout=60)

    def enter(self):
        self.socket = self.connect()
        self.reader = self.socket.makefile("rb")

    def line(self, request):
        self.socket.sendall(request)
        line = self.reader.readline()
        if not line or line.startswith(b"ERROR Too many"):
            raise OSError("hung up on")
        return line

    def look(self, slot):
        line = self.line(b"get %s-%d\r\n" % (self.name.encode(), slot))
        if line == b"END\r\n":
            return 0  # it gave way
        size = int(line.split()[3])
        found = self.reader.read(size + 2)[:-2]
        if self.reader.readline() != b"END\r\n":
            raise Wrong(f"{self.name}: slot {slot}: no END")
        self.check(slot, found, size=self.size)
        return size

    def step(self):
        slot = self.random.randrange(self.slots)
        key, dice = b"%s-%d" % (self.name.encode(), slot), self.random.random()
        if dice < 0.6:
            self.look(slot)
        elif dice < 0.65:
            self.journal.next(slot, gone=True)
            self.line(b"delete %s\r\n" % key)
            self.journal.done(slot)
        elif dice < 0.7:
            self.line(b"map %s ro 5\r\n" % key)  # and leaves it so
        else:
            version = self.journal.next(slot)
            data = content(self.name, slot, version, self.size(slot, version))
            line = self.line(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(data), data))
            if line == b"STORED\r\n":
                self.journal.done(slot)
            elif not line.startswith(b"SERVER_ERROR"):
                raise Wrong(f"{self.name}: {line}")


class Secured(Items):
    """The same over TLS, of a user whose tenant has a guarantee and a quota."""

    def connect(self):
        return self.place.secure("web")


class Blocks(Client):
    """A block device, by libnbd."""
    slots, patience = 1024, 1

    def enter(self):
        import nbd
        self.errors = nbd.Error
        self.device = nbd.NBD()
        self.device.connect_uri(self.place.server.uri("disk"))

    def look(self, slot):
        found = bytes(self.device.pread(PAGE, slot * PAGE))
        self.check(slot, None if found == bytes(PAGE) else found)
        return PAGE

    def step(self):
        slot, dice = self.random.randrange(self.slots), self.random.random()
        if dice < 0.5:
            self.look(slot)
            return
        version = self.journal.next(slot, gone=dice < 0.55)
        try:
            if version & GONE:
                self.device.trim(PAGE, slot * PAGE)
            else:
                self.device.pwrite(content(self.name, slot, version), slot * PAGE)
            self.journal.done(slot)
        except self.errors as error:
            if error.errno != "ENOSPC":
                raise
            self.journal.undone(slot)


class Command(Client):
    """The farpage command, with the library's batches and packing; what is refused leaves a part."""
    slots = 1000

    def enter(self):
        if self.journal.doubts() and f"{self.name}:stored" in stats(self.place.server, "areas"):
            self.verify()

    def step(self):
        path = f"{self.place.directory}/{self.name}.file"
        versions = [self.journal.next(slot) for slot in range(self.slots)]
        with open(path, "wb") as f:
            f.write(b"".join(content(self.name, slot, v) for slot, v in enumerate(versions)))
        done = self.run("store", path)
        if done.returncode == 0:
            for slot in range(self.slots):
                self.journal.done(slot)
            if (done := self.run("verify", path)).returncode == 1 and "memory" not in done.stderr:
                raise Wrong(f"{self.name}: {done.stdout}{done.stderr}")
        else:
            self.verify()

    def run(self, verb, path):
        return subprocess.run([self.place.farpage, "--server", "unix:" + self.place.server.unix, verb,
                               self.name, path], capture_output=True, text=True, check=False)

    def look(self, _):
        """There is no area yet, so nothing is in doubt."""

    def verify(self):
        reader = Frames.__new__(Frames)
        reader.__dict__.update(self.__dict__)
        reader.kind, reader.makes = Session, False  # the command makes it as it likes
        reader.enter()
        total = sum(reader.look(slot) for slot in range(self.slots))
        reader.session.leave()
        return total


KINDS = [Frames, Frames, Tenant, Maps, Items, Items, Secured, Blocks, Command] + BYSTANDERS
