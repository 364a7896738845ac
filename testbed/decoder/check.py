"""Decodes the golden frames and compares: check.py GOLDEN.json"""

import copy
import json
import sys

from predictive import Decoder, Schema


def written(value):
    """A decoded value as the file writes it."""
    if not isinstance(value, tuple):
        return value
    kind, content = value
    if kind == "F32":
        return {"f32": f"{content:08x}"}
    if kind == "F64":
        return {"f64": f"{content:016x}"}
    if kind == "Text":
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            pass
    return {"bytes": content.hex()}


def main(path):
    frames = 0
    with open(path, encoding="utf-8") as file:
        cases = json.load(file)
    for case in cases:
        schemas = {s["id"]: Schema(s["id"], s["system"], s["fields"]) for s in case["schemas"]}
        decoder = Decoder(copy.deepcopy)
        for index, frame in enumerate(case["frames"]):
            place = f"{case['case']}, frame {index}"
            try:
                parts = decoder.decode(bytes.fromhex(frame["hex"]), schemas, frame["first"])
            except Exception as error:
                raise SystemExit(f"{place}: {type(error).__name__}: {error}") from error
            got = [[[s, time, [written(value) for value in values]] for s, time, values in part] for part in parts]
            if got != frame["parts"]:
                raise SystemExit(f"{place}:\n got      {got}\n expected {frame['parts']}")
            frames += 1
    print(f"{frames} frames agree")


if __name__ == "__main__":
    main(sys.argv[1])
