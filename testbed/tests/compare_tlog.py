#!/usr/bin/env python3
"""Compares a flight recording with what crossed Tern and was exported again.

usage: compare_tlog.py ORIGINAL.tlog EXPORTED.tlog

Every message of the original has to be in the export exactly once, in order within its (system, component, message
id). Integers and text are exact, floats within half of their unit's resolution, messages that this reader's dialect
does not know identical byte for byte. Timestamps are not compared: a replay gets new ones. Exit status 1 and the first
differences when it is not so.

Needs pymavlink, and shares no code with Tern.
"""
import collections
import math
import os
import sys

os.environ["MAVLINK20"] = "1"
os.environ["MAVLINK_DIALECT"] = "ardupilotmega"

from pymavlink import mavutil  # noqa: E402  (reads the environment when imported)
from pymavlink.generator.mavcrc import x25crc  # noqa: E402

# The resolution of floats by unit, decimals. Floats of other units are exact.
DECIMALS = {
    "rad": 4,
    "rad/s": 3, "m/s/s": 3, "V": 3, "gauss": 3,
    "m": 2, "m/s": 2, "hPa": 2, "deg": 2, "deg/s": 2, "degC": 2, "A": 2, "%": 2,
}
DIFFERENCES_SHOWN = 20


def is_whole_frame(data):
    """Whether bytes that the reader's dialect cannot verify are a frame by somebody else's: whole, and with a checksum
    that is right for one of the 256 CRC_EXTRA that it may have been computed with."""
    if len(data) < 8 or data[0] not in (0xFD, 0xFE):
        return False
    header = 10 if data[0] == 0xFD else 6
    signature = 13 if data[0] == 0xFD and data[2] & 1 else 0
    end = header + data[1]
    if len(data) != end + 2 + signature:
        return False
    checksum = data[end] | data[end + 1] << 8
    before_extra = x25crc(data[1:end]).crc
    for extra in range(256):
        crc = x25crc()
        crc.crc = before_extra
        crc.accumulate(bytes([extra]))
        if crc.crc == checksum:
            return True
    return False


def read(path):
    """Messages of a file by (system, component, message id), opaque frames by their header, and how many bytes were
    neither."""
    streams = collections.defaultdict(list)
    garbage_bytes = 0
    log = mavutil.mavlink_connection(path)
    while (message := log.recv_msg()) is not None:
        data = bytes(message.get_msgbuf())
        if not message.get_type().startswith(("BAD_DATA", "UNKNOWN")):
            key = (message.get_srcSystem(), message.get_srcComponent(), message.get_msgId())
            streams[key].append(message)
        elif is_whole_frame(data):
            header = data[5:10] if data[0] == 0xFD else data[3:6]
            streams[(*header[:2], int.from_bytes(header[2:], "little"))].append(Opaque(data))
        else:
            garbage_bytes += len(data)
    return streams, garbage_bytes


class Opaque:
    """A frame that is compared byte for byte."""

    def __init__(self, data):
        self.data = data

    def get_type(self):
        return "opaque"


def payload(message):
    frame = bytes(message.get_msgbuf())
    header = 10 if frame[0] == 0xFD else 6
    return frame[header:header + frame[1]]


def same_float(original, exported, decimals):
    if math.isnan(original) or math.isnan(exported):
        return math.isnan(original) and math.isnan(exported)
    if original == exported or math.isinf(original):
        return original == exported
    if decimals is None:
        return False
    # The grid point itself is rounded to a 32-bit float: half a unit in its last place.
    return abs(original - exported) <= 0.5 * 10**-decimals + abs(original) * 2**-24


def difference(original, exported):
    """What differs between two messages of the same id, None when nothing does."""
    if original.get_type() != exported.get_type():
        return f"{original.get_type()} became {exported.get_type()}"
    if isinstance(original, Opaque):
        return None if original.data == exported.data else "the frame differs"
    units = getattr(original, "fieldunits_by_name", {})
    is_exact = True
    for name, kind in zip(original.fieldnames, original.fieldtypes):
        a, b = getattr(original, name), getattr(exported, name)
        if kind not in ("float", "double"):
            if a != b:
                return f"{name}: {a!r} became {b!r}"
            continue
        decimals = DECIMALS.get(units.get(name, "").strip("[]"))
        is_exact = is_exact and decimals is None
        pairs = zip(a, b) if isinstance(a, list) else [(a, b)]
        for x, y in pairs:
            if not same_float(x, y, decimals):
                return f"{name}: {x!r} became {y!r}, resolution {decimals} decimals"
    # Trailing zeros do not count: MAVLink 2 cuts them off, MAVLink 1 does not.
    if is_exact and payload(original).rstrip(b"\0") != payload(exported).rstrip(b"\0"):
        return "the payload's bytes differ"
    return None


def main():
    original, original_garbage = read(sys.argv[1])
    exported, exported_garbage = read(sys.argv[2])
    differences = []
    for key in sorted(original.keys() | exported.keys()):
        before, after = original.get(key, []), exported.get(key, [])
        name = (before or after)[0].get_type()
        if len(before) != len(after):
            differences.append(f"{key} {name}: {len(before)} messages became {len(after)}")
        for position, (a, b) in enumerate(zip(before, after)):
            if found := difference(a, b):
                differences.append(f"{key} {name} number {position}: {found}")
    if exported_garbage:
        differences.append(f"{exported_garbage} bytes of the export are no message")
    for line in differences[:DIFFERENCES_SHOWN]:
        print(line)
    count = sum(map(len, original.values()))
    print(f"{count} messages of {len(original)} streams, {original_garbage} bytes of garbage skipped, "
          f"{len(differences)} differences")
    sys.exit(1 if differences or not count else 0)


if __name__ == "__main__":
    main()
