#!/usr/bin/env python3
"""Writes ardupilotmega.tsv, the message layouts that both ends of the link share.

usage: generate.py MESSAGE_DEFINITIONS_DIR > ardupilotmega.tsv

The argument is the folder `message_definitions/v1.0` of the MAVLink project (the `mavlink` crate on
crates.io carries a copy). Needs `pip install pymavlink`, whose parser computes wire order and CRC_EXTRA.

One line a message: id, name, CRC_EXTRA, then its fields in wire order as `type:name:unit`; an array is
`type[length]`, a leading `+` marks a MAVLink 2 extension field.
"""
import contextlib
import os
import sys

from pymavlink.generator import mavparse

TYPES = {
    "char": "char", "uint8_t_mavlink_version": "u8", "double": "f64", "float": "f32",
    "uint8_t": "u8", "uint16_t": "u16", "uint32_t": "u32", "uint64_t": "u64",
    "int8_t": "i8", "int16_t": "i16", "int32_t": "i32", "int64_t": "i64",
}


def parse(folder, name, seen):
    """The messages of a dialect file and of all that it includes."""
    if name in seen:
        return []
    seen.add(name)
    xml = mavparse.MAVXML(os.path.join(folder, name), mavparse.PROTOCOL_2_0)
    messages = list(xml.message)
    for include in xml.include:
        messages += parse(folder, os.path.basename(include), seen)
    return messages


def main():
    with contextlib.redirect_stdout(sys.stderr):  # where the parser prints its warnings
        messages = {m.id: m for m in parse(sys.argv[1], "ardupilotmega.xml", set())}
    for m in sorted(messages.values(), key=lambda m: m.id):
        columns = [str(m.id), m.name, str(m.crc_extra)]
        for position, f in enumerate(m.ordered_fields):
            kind = TYPES[f.type]
            if f.array_length:
                kind += f"[{f.array_length}]"
            mark = "+" if m.extensions_start is not None and position >= m.base_fields() else ""
            columns.append(f"{mark}{kind}:{f.name}:{f.units.strip('[]')}")
        print("\t".join(columns))


if __name__ == "__main__":
    main()
