"""Makes PyPI's autobahntestsuite, Python 2 source for a former autobahn, run on Python 3 and today's autobahn.

usage: port.py SUITE      (the unpacked source, already through lib2to3; changed in place)

The suite's cases treat payloads as text with a character a byte, autobahn as bytes. The two meet in two places only: what
cases hand to the protocol is encoded as Latin-1 there, what the protocol hands to them is decoded.
"""
import re
import sys
from pathlib import Path

PACKAGE = Path(sys.argv[1]) / "autobahntestsuite"

LATIN = '''
import binascii as real_binascii


def to_bytes(value):
    return value.encode("latin-1") if isinstance(value, str) else value


def to_text(value):
    return bytes(value).decode("latin-1") if isinstance(value, (bytes, bytearray, memoryview)) else value


def plain(value):
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else to_text(value)


class binascii:
    @staticmethod
    def b2a_hex(value):
        return real_binascii.hexlify(to_bytes(value)).decode("ascii")

    hexlify = b2a_hex
'''

# Put into the class that both of the suite's protocols inherit: what cases send, as bytes.
SENDING = '''
   debug = False
   def sendFrame(self, opcode, payload = b"", **options):
      return super().sendFrame(opcode, to_bytes(payload), **options)
   def sendMessage(self, payload, isBinary = False, **options):
      return super().sendMessage(to_bytes(payload), isBinary, **options)
   def sendMessageFrame(self, payload, *rest, **options):
      return super().sendMessageFrame(to_bytes(payload), *rest, **options)
   def sendMessageFrameData(self, payload, *rest, **options):
      return super().sendMessageFrameData(to_bytes(payload), *rest, **options)
   def sendPing(self, payload = None):
      return super().sendPing(to_bytes(payload))
   def sendPong(self, payload = None):
      return super().sendPong(to_bytes(payload))
   def sendCloseFrame(self, code = None, reasonUtf8 = None, isReply = False):
      return super().sendCloseFrame(code, to_bytes(reasonUtf8), isReply)
'''

IMPORT = "from autobahntestsuite.latin import binascii, plain, to_bytes, to_text\n"


def change(name, *replacements):
    """Replaces exact texts; one that is not there means another version of the suite."""
    path = PACKAGE / name
    text = path.read_text("latin-1")
    for old, new in replacements:
        if old not in text:
            sys.exit(f"{name} has no {old!r}: is this autobahntestsuite 25.10.1?")
        text = text.replace(old, new)
    path.write_text(text, "latin-1")


def port_all_cases():
    for path in sorted((PACKAGE / "case").glob("*.py")):
        lines = path.read_text("latin-1").split("\n")
        # The first lines may claim an encoding that lib2to3 did not keep.
        lines = [line for at, line in enumerate(lines) if at > 2 or "coding" not in line]
        text = "\n".join(lines).replace("object, Case", "Case")
        # The suite's own binascii works on text.
        text = re.sub(r"^import binascii$", "", text, flags=re.M)
        text = re.sub(r"^import (.*?)(?:, ?binascii|binascii, ?)(.*)$", r"import \1\2", text, flags=re.M)
        text = re.sub(
            r"^( *)class (\w+)(\(?.*):\n\s*implements\((.*)\)", r"\1@implementer(\4)\n\1class \2\3:", text, flags=re.M
        ).replace("import implements", "import implementer")
        # autobahn writes the parameters of extensions with underscores since 0.10.
        for former in ["acceptNoContextTakeover", "acceptMaxWindowBits", "requestNoContextTakeover", "requestMaxWindowBits"]:
            text = text.replace(former, re.sub("([A-Z])", lambda capital: "_" + capital[0].lower(), former))
        path.write_text("# -*- coding: latin-1 -*-\n" + IMPORT + text, "latin-1")


def main():
    (PACKAGE / "latin.py").write_text(LATIN)
    package = PACKAGE / "__init__.py"
    package.write_text(re.sub(r"^.*import wstest.*$", "", package.read_text(), flags=re.M))
    port_all_cases()
    change("case/case.py", ("pickle.dumps(obj1) == pickle.dumps(obj2)", "plain(obj1) == plain(obj2)"))
    change("case/case6_x_x.py", ("v.validate(vss[:i])", "v.validate(to_bytes(vss[:i]))"))
    change("case/case10_1_1.py", ("len(self.payload) / self.", "len(self.payload) // self."))
    change(
        "case/case12_x_x.py",
        ("def onMessage(self, msg, binary):\n", "def onMessage(self, msg, binary):\n   msg = to_bytes(msg)\n"),
        ("msg = ''\n", "msg = b'' if self.TESTDATA['binary'] else ''\n"),
    )
    change(
        "fuzzing.py",
        ("import os, json, binascii, time,", IMPORT + "import os, json, time,"),
        # What the protocol received, as text.
        ("self.runCase.onMessage(msg, binary)", "self.runCase.onMessage(to_text(msg), binary)"),
        ("self.runCase.onPong(payload)", "self.runCase.onPong(to_text(payload))"),
        ("   MAX_WIRE_LOG_DATA = 256\n", "   MAX_WIRE_LOG_DATA = 256\n" + SENDING),
        # The log of what crossed the wire.
        ("return dd.decode('utf8'", "return to_bytes(dd).decode('utf8'"),
        ("dd = data[:maxlen] + ellipses", "dd = to_text(data[:maxlen]) + ellipses"),
        ("p = ''.join(payload)", "p = ''.join(map(to_text, payload))"),
        # What autobahn calls differently today.
        (", debug = debug, debugCodePaths = debug", ""),
        ("connectWS(self, contextFactory=self.contextFactory)", "connectWS(self)"),
        ("self.failConnection()", "self._fail_connection()"),
    )
    fuzzing = PACKAGE / "fuzzing.py"
    text = fuzzing.read_text("latin-1")
    # Reports are text files, and hold what json alone cannot write.
    text = re.sub(r"\.encode\(['\"]utf-?8['\"]\)\)", ")", text)
    text = re.sub(r"json\.dumps\((res|case)\b", r"json.dumps(\1, default=str", text)
    # A report that fails must not keep the reactor running for ever.
    text = re.sub(r"self\.createReports\(\)(\s+)reactor\.stop\(\)", r"reactor.stop()\1self.createReports()", text)
    fuzzing.write_text(text, "latin-1")


main()
