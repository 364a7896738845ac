"""Runs Autobahn's fuzzing client against a WebSocket server that echoes. Fails when a case fails.

usage: fuzz.py SUITE REPORTS URL [EXCLUDED ...]      (cases as 12.*)
"""
import json
import sys
from collections import Counter
from pathlib import Path

suite, reports, url, *excluded = sys.argv[1:]
sys.path.insert(0, suite)

from autobahntestsuite import fuzzing  # noqa: E402
from twisted.internet import reactor  # noqa: E402

fuzzing.startClient(
    {
        "outdir": reports,
        "servers": [{"agent": "ground", "url": url}],
        "cases": ["*"],
        "exclude-cases": excluded,
        "exclude-agent-cases": {},
    }
)
reactor.run()

results = json.loads((Path(reports) / "index.json").read_text())["ground"]
failed = [case for case, result in results.items() if "FAILED" in (result["behavior"], result["behaviorClose"])]
print(len(results), "cases:", dict(Counter(result["behavior"] for result in results.values())))
print("failed:", ", ".join(sorted(failed)) or "none")
sys.exit(1 if failed or not results else 0)
