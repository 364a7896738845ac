#!/usr/bin/env python3
"""Thins a flight recording to what a narrow link carries with room to spare.

usage: thin.py INPUT.tlog OUTPUT.tlog

Keeps the whole flight with its original timestamps and frames, byte for byte, but no more messages a second
of each (system, component, message) than RATES_HZ says. Messages that report a change are all kept.
Needs pymavlink (`make test` puts it into `.venv`).
"""
import struct
import sys

from pymavlink import mavutil

RATES_HZ = {
    "ATTITUDE": 10.0,
    "GLOBAL_POSITION_INT": 5.0,
    "GPS_RAW_INT": 2.0,
    "LOCAL_POSITION_NED": 2.0,
    "RAW_IMU": 2.0,
    "VFR_HUD": 2.0,
}
OTHERS_HZ = 1.0
KEEP_ALL = {"COMMAND_ACK", "GPS_GLOBAL_ORIGIN", "HEARTBEAT", "HOME_POSITION", "PARAM_VALUE", "STATUSTEXT", "TIMESYNC"}


def main():
    log = mavutil.mavlink_connection(sys.argv[1])
    due_us = {}
    read = kept = 0
    with open(sys.argv[2], "wb") as out:
        while (message := log.recv_msg()) is not None:
            read += 1
            name = message.get_type()
            time_us = round(message._timestamp * 1e6)
            if name not in KEEP_ALL:
                stream = (message.get_srcSystem(), message.get_srcComponent(), name)
                period_us = 1e6 / RATES_HZ.get(name, OTHERS_HZ)
                due = due_us.get(stream, time_us)
                # A tenth of a period of slack, or jitter would halve the rate of a stream that has just this rate.
                if time_us < due - period_us / 10:
                    continue
                due_us[stream] = max(due, time_us - period_us) + period_us
            out.write(struct.pack(">Q", time_us) + bytes(message.get_msgbuf()))
            kept += 1
    print(f"kept {kept} of {read} messages")


if __name__ == "__main__":
    main()
