"""An autopilot as far as commands go, made with pymavlink: independent of Tern's own MAVLink code.

Usage: autopilot.py PORT. Talks to the edge's MAVLink source on that UDP port and writes a line of JSON for each command
that it hears.
"""

import json
import sys
import time

from pymavlink import mavutil
from pymavlink.dialects.v20 import ardupilotmega as mav


def main():
    link = mavutil.mavlink_connection(
        f"udpout:127.0.0.1:{sys.argv[1]}", source_system=1, source_component=1, dialect="ardupilotmega"
    )
    armed = False
    deaf = 1  # The first arming is lost on its way.
    heartbeat_at = 0.0

    def heartbeat():
        mode = mav.MAV_MODE_FLAG_SAFETY_ARMED if armed else 0
        link.mav.heartbeat_send(mav.MAV_TYPE_GROUND_ROVER, mav.MAV_AUTOPILOT_ARDUPILOTMEGA, mode, 0, mav.MAV_STATE_ACTIVE)

    def acknowledge(heard, result, progress=0):
        link.mav.command_ack_send(
            heard.command, result, progress, 0, heard.get_srcSystem(), heard.get_srcComponent()
        )

    while True:
        if time.monotonic() >= heartbeat_at:
            heartbeat()
            heartbeat_at = time.monotonic() + 0.2
        kinds = ["COMMAND_LONG", "COMMAND_INT", "MANUAL_CONTROL", "RC_CHANNELS_OVERRIDE"]
        heard = link.recv_match(type=kinds, blocking=True, timeout=0.05)
        if heard is None:
            continue
        print(json.dumps({**heard.to_dict(), "from": heard.get_srcSystem()}, default=str), flush=True)
        if heard.get_type() not in ("COMMAND_LONG", "COMMAND_INT"):
            continue
        if heard.target_system != 1 or heard.target_component != 1:
            continue
        if heard.command == mav.MAV_CMD_COMPONENT_ARM_DISARM:
            if deaf > 0:
                deaf -= 1
                continue
            armed = heard.param1 == 1
            acknowledge(heard, mav.MAV_RESULT_ACCEPTED)
            heartbeat()
        elif heard.command == mav.MAV_CMD_NAV_RETURN_TO_LAUNCH:
            acknowledge(heard, mav.MAV_RESULT_IN_PROGRESS, 40)
            time.sleep(0.5)
            acknowledge(heard, mav.MAV_RESULT_ACCEPTED)
        elif heard.command == mav.MAV_CMD_NAV_TAKEOFF:
            acknowledge(heard, mav.MAV_RESULT_DENIED)
        elif heard.command == mav.MAV_CMD_DO_REPOSITION and heard.get_type() == "COMMAND_INT":
            acknowledge(heard, mav.MAV_RESULT_ACCEPTED)
        else:
            acknowledge(heard, mav.MAV_RESULT_UNSUPPORTED)


main()
