"""A real broker (broker.sh), and what is done at it (kafka_tool).

KAFKA_TOOL names the tool. Standard library only.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SKIPPED = 77


class Broker:
    """One broker with a folder of its own, gone after down()."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="klaxon-kafka-")
        self.run_dir = os.path.join(self.folder, "run")

    def script(self, action):
        environment = dict(os.environ)
        if environment.get("CI") == "true":
            environment["KLAXON_REQUIRE_KAFKA"] = "1"
        return subprocess.run(
            ["bash", os.path.join(HERE, "broker.sh"), action, self.run_dir],
            stdin=subprocess.DEVNULL, env=environment, check=False).returncode

    def up(self):
        """Ends the whole test as skipped where something is missing."""
        code = self.script("up")
        if code != 0:
            shutil.rmtree(self.folder, ignore_errors=True)
            sys.exit(code if code == SKIPPED else "the broker does not start")
        with open(os.path.join(self.run_dir, "bootstrap")) as f:
            self.address = f.read().strip()

    def kill(self):
        assert self.script("kill") == 0

    def start(self):
        assert self.script("start") == 0, self.log()

    def down(self):
        self.script("down")
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        with open(os.path.join(self.run_dir, "broker.log")) as f:
            return f.read()[-4000:]

    # ------------------------------------------------------------ kafka_tool

    def tool(self, *arguments, lines=None):
        """Its stdout. `lines`: bytes, each with its newline."""
        done = subprocess.run(
            [os.environ["KAFKA_TOOL"], self.address, *map(str, arguments)],
            input=b"" if lines is None else b"".join(lines),
            capture_output=True, timeout=300, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"kafka_tool {arguments}: "
                               + done.stderr.decode(errors="replace"))
        return done.stdout.decode()

    def create(self, topic, partitions, **properties):
        self.tool("create", topic, partitions,
                  *(f"{name.replace('_', '.')}={value}"
                    for name, value in properties.items()))

    def produce(self, topic, lines, partition="all", codec="none"):
        self.tool("produce", topic, partition, codec, lines=lines)

    def producer(self, topic, codec="none"):
        """A process that writes the lines of its stdin."""
        return subprocess.Popen(
            [os.environ["KAFKA_TOOL"], self.address, "produce", topic, "all",
             codec], stdin=subprocess.PIPE)

    def committed(self, group, topic, partition=0):
        """The offset that the group has for a partition; -1: none."""
        return int(self.tool("committed", group, topic, partition))

    def dump(self, topic):
        return [json.loads(line)
                for line in self.tool("dump", topic).splitlines()]

    def segment(self, topic, partition):
        """The file of a partition that has one segment."""
        return os.path.join(self.run_dir, "data", f"{topic}-{partition}",
                            "0" * 20 + ".log")


class Batch:
    """Where a record batch lies in a segment, and which offsets it has."""

    def __init__(self, at, size, first, last, codec):
        self.at, self.size = at, size
        self.first, self.last = first, last
        self.codec = codec


def batches_of(path):
    """Of a segment of magic 2, in order."""
    with open(path, "rb") as f:
        data = f.read()
    found, at = [], 0
    while at + 61 <= len(data):
        first = int.from_bytes(data[at:at + 8], "big")
        size = 12 + int.from_bytes(data[at + 8:at + 12], "big")
        if size <= 12:
            break
        codec = data[at + 22] & 7
        last = first + int.from_bytes(data[at + 23:at + 27], "big")
        found.append(Batch(at, size, first, last, codec))
        at += size
    return found


def crc32c(data):
    """As a batch carries it, of what follows it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC32C[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC32C = _table()


def damage(path, batch, mend_crc):
    """Overwrites the first of a batch's records, or the head of what inflates
    to them. `mend_crc`: its checksum is right afterwards, so that only who
    inflates it finds out."""
    with open(path, "r+b") as f:
        f.seek(batch.at)
        data = bytearray(f.read(batch.size))
        data[61:69] = bytes(b ^ 0xFF for b in data[61:69])
        if mend_crc:
            data[17:21] = crc32c(bytes(data[21:])).to_bytes(4, "big")
        f.seek(batch.at)
        f.write(data)
