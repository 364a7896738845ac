"""A decoder of Tern's predictive frames, written from docs/CODEC.md alone.

Slow and plain on purpose: it shows that the document suffices, and is a place to start from for other languages. The
names and the order are the document's. Needs nothing but Python 3.
"""

import math
import struct

MAX_STATES = 32
MAX_PARTS = 1024
MAX_VALUES = 262_144
MAX_TEXT_BYTES = 262_144
MAX_COLUMNS = 16_384
MAX_STREAMS = 4096
NOBODY = 65535


class NoBase(Exception):
    """The frame continues one that is not here."""


class Desync(Exception):
    """The frame does not fit the state that it continues, or is damaged."""


def limit(x, low, high):
    return low if x < low else high if x > high else x


def signed(x, bits=64):
    """The low bits of x, as a signed number."""
    x &= (1 << bits) - 1
    return x - (1 << bits) if x >> (bits - 1) else x


def divide(a, b):
    """The quotient, truncated."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


# 2. Range coder


class RangeDecoder:
    def __init__(self, data):
        self.data, self.at, self.missing = data, 0, 0
        self.range, self.offset = (1 << 48) - 1, 0
        for _ in range(6):
            self.shift()
        self.missing = 0

    def shift(self):
        if self.at < len(self.data):
            byte = self.data[self.at]
            self.at += 1
        else:
            byte = 0
            self.missing += 1
            if self.missing > 8:
                raise Desync("cut short")
        self.offset = self.offset << 8 | byte

    def normalize(self):
        while self.range < 1 << 40:
            self.range <<= 8
            self.shift()

    def bit(self, p1):
        bound = (self.range >> 16) * p1
        bit = self.offset < bound
        if bit:
            self.range = bound
        else:
            self.offset -= bound
            self.range -= bound
        self.normalize()
        return int(bit)

    def raw(self, count):
        value = 0
        while count > 0:
            few = min(16, count)
            count -= few
            self.range >>= few
            part = min(self.offset // self.range, (1 << few) - 1)
            self.offset -= self.range * part
            self.normalize()
            value = value << few | part
        return value


# 3. Models

STEP = [655360 // (10 * n + 16) for n in range(256)]
SQUASH = [int(x) for x in (
    "22 36 60 98 162 267 439 720 1179 1921 3108 4971 7812 11955 17625 24743 32768 40793 47911 53581 57724 60565 62428 "
    "63615 64357 64816 65097 65269 65374 65438 65476 65500 65514").split()]


def squash(x):
    x = limit(x, -2047, 2047) + 2048
    i, r = x >> 7, x & 127
    return (SQUASH[i] * (128 - r) + SQUASH[i + 1] * r) >> 7


def _stretch():
    table, x = [], -2047
    for k in range(4096):
        while x < 2047 and squash(x) >> 4 < k:
            x += 1
        table.append(x)
    return table


STRETCH = _stretch()


class Bit:
    __slots__ = ("p1", "seen")

    def __init__(self, p1, seen=0):
        self.p1, self.seen = p1, seen

    def update(self, bit, most):
        self.p1 += ((65535 if bit else 0) - self.p1) * STEP[self.seen] >> 16
        if self.seen < most:
            self.seen += 1

    def code(self, coder, most):
        bit = coder.bit(limit(self.p1, 24, 65512))
        self.update(bit, most)
        return bit


def mix(coder, weights, bits):
    """A decision by four bits, each with its limit; the weights are a list of four."""
    s = [STRETCH[bit.p1 >> 4] for bit, _ in bits]
    p = squash(sum(a * w for a, w in zip(s, weights)) >> 16)
    decision = coder.bit(p)
    error = (65535 if decision else 0) - p
    for i in range(4):
        weights[i] = limit(weights[i] + (s[i] * error + 16384 >> 15), -((1 << 18) - 1), (1 << 18) - 1)
    for bit, most in bits:
        bit.update(decision, most)
    return decision


def cost(x):
    y = (2 * abs(x) + 1) & ((1 << 64) - 1)
    if abs(x) >> 63:
        y |= 1 << 63
    t = y.bit_length() - 1
    below = y << 8 >> t & 255
    return 256 * t + below


def mean(m, e, seen, most):
    return m + ((e - m) * STEP[min(seen, most)] >> 16)


# 4. Numbers


class Ring:
    def __init__(self, bits=64, turn=None):
        self.bits, self.turn = bits, turn

    def moved(self, prediction, r):
        """The value and its place on the unrolled ring."""
        if self.turn is None:
            value = signed(prediction + r)
            return value, value
        low, turn = self.turn
        half = turn // 2
        start = low + (signed(prediction - low)) % turn
        if r < -half:
            value = signed(r + half + low)
            return value, value
        if r >= turn - half:
            value = signed(r - (turn - half) + low + turn)
            return value, value
        return low + (start - low + r) % turn, signed(prediction + r)

    def unroll(self, value, near):
        if self.turn is None:
            return signed(near + signed(value - near, self.bits))
        half = self.turn[1] // 2
        return signed(near + signed(value - near + half) % self.turn[1] - half)


class Shape:
    def __init__(self, ring, expected_cost, usual_length, is_signed):
        self.ring, self.expected_cost = ring, expected_cost
        self.usual_length, self.is_signed = min(usual_length, 40), is_signed


def tree(e):
    weights = [0] * 128
    for length in range(1, 65):
        weight = 1 << 20
        for _ in range(abs(length - max(e, 1))):
            weight = weight * 5 // 8
        weights[63 + length] = weight + 8
    for node in range(63, 0, -1):
        weights[node] = weights[2 * node] + weights[2 * node + 1]
    return [None] + [
        Bit(limit(weights[2 * n + 1] * 65536 // weights[n], 64, 65472), 2) for n in range(1, 64)]


class Shared:
    """What all columns know together."""

    def __init__(self):
        self.other = [Bit(22000, 2) for _ in range(8)]
        self.zero = [[Bit(26000, 2), Bit(26000, 2)] for _ in range(41)]
        self.trees = [tree(e) for e in range(41)]
        self.first_signs = [Bit(3000, 4), Bit(28000, 4), Bit(32768, 4), Bit(32768, 4)]
        self.by_level = [self.decisions(level) for level in range(48)]
        self.by_recent = [self.decisions(0 if context < 25 else 2) for context in range(100)]
        self.signs = [Bit(32768, 2) for _ in range(27)]
        self.weights = [
            [[36000 - 5000 * t, 30000 - 5000 * t, 4000 + 5000 * t, 5000 * t] for _ in range(5)] for t in range(6)]

    @staticmethod
    def decisions(level):
        bits = [Bit(29000, 3) for _ in range(32)]
        bits[0] = Bit(3000 if level == 0 else 27000 if level & 1 else 24000, 4)
        bits[1] = Bit(13000, 3)
        for i in range(2, 9):
            bits[i] = Bit(20000, 3)
        for i in range(9, 17):
            bits[i] = Bit(36000, 3)
        return bits


class Residuals:
    """4.3"""

    def __init__(self, expected_cost):
        self.slow = self.fast = expected_cost
        self.lengths = [expected_cost >> 8] * 2
        self.last_sign = 0
        self.seen = 0
        self.bits = [Bit(32768) for _ in range(32)]
        self.near = [[Bit(32768) for _ in range(8)] for _ in range(6)]
        self.signs = [Bit(32768) for _ in range(3)]

    def surprise(self):
        last = self.lengths[0]
        return 0 if last == 0 else 2 if last > (self.slow >> 8) + 1 else 1

    def code(self, coder, shared, side, surprise):
        level = (self.slow + self.fast) >> 1
        e = min(62, level >> 8)
        r = [limit(length - e + 2, 0, 4) for length in self.lengths]
        by_level = shared.by_level[min(47, level >> 7)]
        by_recent = shared.by_recent[(min(e, 3) * 5 + r[0]) * 5 + r[1]]
        near = self.near[2 * surprise + (self.lengths[0] > e)]
        seen = self.bits[0].seen
        trust = sum(seen >= least for least in (1, 3, 7, 15, 40))

        def decide(kind, decision, fourth=None):
            return mix(coder, shared.weights[trust][kind], [
                (by_level[decision], 250),
                (by_recent[decision], 250),
                (self.bits[decision], 60),
                (Bit(32768) if fourth is None else near[fourth], 40)])

        length = e
        if decide(0, 0, 0):
            length += 1
            step = 0
            while length < 64 and decide(1, 1 + min(step, 7), 1 + min(step, 2)):
                length += 1
                step += 1
        else:
            step = 0
            while length > 0 and decide(2, 9 + min(step, 7), 4 + min(step, 2)):
                length -= 1
                step += 1
        residual = 0
        sign = 0
        if length:
            a = limit(length - e + 2, 0, 4)
            residual, left = 1, length - 1
            if left:
                bit = decide(3, 17 + 3 * a)
                residual, left = 2 | bit, left - 1
                if left:
                    residual, left = residual << 1 | decide(4, 18 + 3 * a + bit), left - 1
            residual = residual << left | coder.raw(left)
            own = self.signs[side]
            if own.seen < 12:
                negative = shared.signs[9 * side + 3 * self.last_sign + min(a, 2)].code(coder, 250)
                own.update(negative, 60)
            else:
                negative = own.code(coder, 60)
            residual = signed(-residual if negative else residual)
            sign = 2 if negative else 1
        this = cost(residual)
        self.slow = mean(self.slow, this, self.seen, 14)
        self.fast = mean(self.fast, this, self.seen, 2)
        self.seen = min(255, self.seen + 1)
        self.lengths = [length, self.lengths[0]]
        self.last_sign = sign
        return residual


class Number:
    """A column of numbers."""

    def __init__(self, shape):
        self.shape = shape
        self.residuals = Residuals(shape.expected_cost)
        self.has_value = False
        self.last = self.before = 0
        self.means = [0, 0]
        self.costs = [0] * 10
        self.judged = [0] * 10
        self.quiet = 0
        self.step = self.steps = 0
        self.on_step = Bit(62000)

    def begin(self, value):
        self.has_value = True
        self.last = self.before = value
        self.means = [signed(16 * value)] * 2

    def code(self, coder, shared, hints=(None,) * 4, pace=0, surprise=0):
        if not self.has_value:
            return self.code_first(coder, shared, hints)
        if self.quiet >= 8:
            residual, value, place = self.code_from(coder, shared, self.last, 0, 0)
            if residual:
                self.means = [signed(16 * self.last)] * 2
                self.quiet = 0
                self.take(place)
            return value
        last, slope = self.last, signed(self.last - self.before)
        far = 1 << 41
        paced = slope if pace == 0 else limit(slope, -far, far) * pace >> 8
        p = [last, signed(last + paced), signed(last + divide(slope, 2)),
             signed(self.means[0] + 8) >> 4, signed(self.means[1] + 8) >> 4, *hints]
        there = [i for i in range(9) if p[i] is not None]
        best = min(there, key=lambda i: (self.costs[i], i))
        total = weights = 0
        for i in there:
            h = min(31, max(0, self.costs[i] - self.costs[best]) >> 5)
            weight = (65536, 46341)[h & 1] >> (h >> 1)
            total += weight * limit(signed(p[i] - last), -far, far)
            weights += weight
        blend = signed(last + (2 * total + weights) // (2 * weights))
        p.append(blend)
        if self.costs[9] <= self.costs[best]:
            prediction, other = blend, p[best]
        else:
            prediction, other = p[best], blend
        if other == prediction:
            other = self.means[1] >> 4
        away = signed(other - prediction)
        side = 0 if away == 0 else 1 if away > 0 else 2
        residual, value, place = self.code_from(coder, shared, prediction, side, surprise)
        for i in there + [9]:
            self.costs[i] = mean(self.costs[i], cost(signed(place - p[i])), self.judged[i], 18)
            self.judged[i] = min(255, self.judged[i] + 1)
        self.quiet = self.quiet + 1 if residual == 0 and place == self.last else 0
        self.take(place)
        return value

    def code_first(self, coder, shared, hints):
        """4.1"""
        candidates = []
        for candidate in [hint for hint in hints if hint is not None] + [0]:
            if candidate not in candidates:
                candidates.append(candidate)
        choice = 0
        while choice < len(candidates) - 1 and shared.other[min(choice, 7)].code(coder, 30):
            choice += 1
        hinted = choice < len(candidates) - 1
        e = min(40, self.shape.usual_length // 2 if hinted else self.shape.usual_length)
        difference = 0
        if not shared.zero[e][hinted].code(coder, 30):
            node = 1
            for _ in range(6):
                node = node << 1 | shared.trees[e][node].code(coder, 30)
            length = node - 64 + 1
            difference = 1 << (length - 1) | coder.raw(length - 1)
            if shared.first_signs[2 * hinted + self.shape.is_signed].code(coder, 30):
                difference = -difference
            difference = signed(difference)
        value, place = self.shape.ring.moved(candidates[choice], difference)
        self.residuals = Residuals(256 if difference == 0 else self.shape.expected_cost)
        self.begin(place)
        return value

    def code_from(self, coder, shared, prediction, side, surprise):
        ring = self.shape.ring
        if ring.turn is None and self.steps >= 3 and self.step > 1:
            step = self.step
            on_it = signed(self.last + (signed(signed(prediction - self.last) + step // 2)) // step * step)
            if self.on_step.code(coder, 60):
                residual = self.residuals.code(coder, shared, side, surprise)
                return (residual, *ring.moved(on_it, signed(residual * step)))
            self.step = self.steps = 0
        residual = self.residuals.code(coder, shared, side, surprise)
        return (residual, *ring.moved(prediction, residual))

    def take(self, place):
        difference = abs(signed(place - self.last))
        if difference and self.shape.ring.turn is None:
            self.step = math.gcd(self.step, difference)
            self.steps += 1
            if self.step == 1 and self.steps >= 64:
                self.step = self.steps = 0
        self.before, self.last = self.last, place
        for i, share in enumerate((1, 3)):
            self.means[i] = signed(self.means[i] + (signed(16 * place - self.means[i]) >> share))


# 5. Streams and times

COUNT = Shape(Ring(), 1024, 4, False)
TIME = Shape(Ring(), 768, 4, False)
BEGIN = Shape(Ring(), 256, 2, False)
ID = Shape(Ring(), 256, 4, False)
FINE = Shape(Ring(), 2304, 8, True)


class Follower:
    def __init__(self):
        self.next, self.hit, self.gap = NOBODY, Bit(45000), 0


class StreamClock:
    def __init__(self, schema_id):
        self.id = schema_id
        self.time = Number(TIME)
        self.gap = 0
        self.follower = Follower()
        self.hits = [Bit(45000) for _ in range(3)]
        self.due = Bit(32768)
        self.fine = None


class Events:
    def __init__(self):
        self.streams = []
        self.pairs = [Follower() for _ in range(256)]
        self.previous = [NOBODY, NOBODY]
        self.time = None
        self.count, self.begin, self.new_id = Number(COUNT), Number(BEGIN), Number(ID)
        self.hits = [Bit(45000) for _ in range(3)]
        self.hit = Bit(45000)
        self.weights = [26000, 20000, 14000, 6000]
        self.is_new, self.is_next, self.is_fine = Bit(50000, 1), Bit(45000, 2), Bit(800, 4)

    def code(self, coder, shared):
        """The index of the next record's stream, and its time in microseconds."""
        pair = self.pairs[(31 * self.previous[0] + 7 * self.previous[1]) % 256]
        index = self.code_stream(coder, shared, pair)
        stream = self.streams[index]
        previous = self.time
        if previous is None:
            previous = signed(coder.raw(64)) if coder.bit(64) else 1262304000000 + coder.raw(40)
        if stream.time.has_value:
            hints = (previous, signed(previous + stream.gap), signed(previous + pair.gap), None)
            time = stream.time.code(coder, shared, hints)
        else:
            time = signed(previous + self.begin.code(coder, shared))
            stream.time.begin(time)
        stream.gap = pair.gap = signed(time - previous)
        self.time = time
        micros = signed(time * 1000)
        if stream.fine:
            micros = signed(micros + stream.fine.code(coder, shared))
        return index, micros

    def find_due(self):
        best = None
        for index, stream in enumerate(self.streams):
            period = signed(stream.time.last - stream.time.before)
            due = signed(stream.time.last + period)
            late = signed(due + period) > (self.time or 0)
            if stream.time.has_value and period > 0 and late and (best is None or due < best[0]):
                best = (due, index)
        return best[1] if best else NOBODY

    def code_stream(self, coder, shared, pair):
        first, due, found = pair.next, self.find_due(), None
        if first != NOBODY:
            agrees = 1 if due == first else 2 if due == NOBODY else 0
            if mix(coder, self.weights, [
                    (pair.hit, 20), (self.hits[agrees], 60), (self.streams[first].hits[agrees], 30), (self.hit, 60)]):
                found = first
        if found is None and due not in (NOBODY, first) and self.streams[due].due.code(coder, 20):
            found = due
        former = self.streams[self.previous[0]].follower if self.previous[0] != NOBODY else None
        if found is None and former and former.next not in (NOBODY, first, due) and former.hit.code(coder, 20):
            found = former.next
        if found is None:
            found = self.code_other(coder, shared)
        pair.next = found
        if former:
            former.next = found
        self.previous = [found, self.previous[0]]
        return found

    def code_other(self, coder, shared):
        if self.streams and not self.is_new.code(coder, 20):
            index = coder.raw((len(self.streams) - 1).bit_length())
            if index >= len(self.streams):
                raise Desync("no such stream")
            return index
        schema_id = self.streams[-1].id + 1 if self.streams else 0
        if not self.is_next.code(coder, 20):
            schema_id += self.new_id.code(coder, shared)
        if len(self.streams) >= MAX_STREAMS or any(stream.id == schema_id for stream in self.streams):
            raise Desync("no such stream")
        stream = StreamClock(schema_id)
        if self.is_fine.code(coder, 20):
            stream.fine = Number(FINE)
        self.streams.append(stream)
        return len(self.streams) - 1


# 8. What fields measure

QUANTITIES = {}
RATES = {"Roll": "RollRate", "Pitch": "PitchRate", "Heading": "YawRate", "Latitude": "NorthVelocity",
         "Longitude": "EastVelocity", "Altitude": "DownVelocity", "North": "NorthVelocity", "East": "EastVelocity",
         "Down": "DownVelocity"}
SPEEDS = {"RollRate", "PitchRate", "YawRate", "NorthVelocity", "EastVelocity", "DownVelocity"}
ANGULAR = {"rad/s", "mrad/s", "deg/s", "cdeg/s"}
for _quantity, _names in {
    "Clock": "time_boot_ms time_usec time_unix_usec timestamp time_us time_ms",
    "Roll": "roll", "Pitch": "pitch", "Heading": "yaw hdg heading",
    "RollRate": "rollspeed roll_rate xgyro", "PitchRate": "pitchspeed pitch_rate ygyro",
    "YawRate": "yawspeed yaw_rate zgyro",
    "Latitude": "lat latitude", "Longitude": "lon lng longitude",
    "Altitude": "alt altitude relative_alt alt_ellipsoid altitude_amsl altitude_relative altitude_local "
                "altitude_monotonic",
    "North": "x", "East": "y", "Down": "z",
    "NorthVelocity": "vx vn", "EastVelocity": "vy ve", "DownVelocity": "vz vd climb climb_rate",
    "GroundSpeed": "groundspeed vel airspeed speed",
    "Voltage": "voltage_battery vcc voltages[0] voltage", "Current": "current_battery current",
}.items():
    for _name in _names.split():
        QUANTITIES[_name] = _quantity
UNITS = {}
for _units, _fraction in {
    "us degE7 mm mm/s mV mA": (1, 1), "ms mrad mrad/s m m/s V A": (1000, 1), "rad rad/s": (1000000, 1),
    "deg deg/s": (1745329252, 100000), "cdeg cdeg/s": (1745329252, 10000000), "cm cm/s cA": (10, 1),
}.items():
    for _unit in _units.split():
        UNITS[_unit] = _fraction
LENGTHS = {}
for _units, _bits in {
    "rad/s": -4, "rad": -3, "m/s m/s/s": 1, "A gauss": 2, "degC deg/s V": 4, "m": 5, "% c% deg cm/s mrad/s mm/s": 6,
    "cA d% mG mgauss": 8, "hPa Pa": 10, "cdegC mAh cm": 11, "mV cdeg": 14, "mm": 17, "ms": 19, "degE7": 29, "us": 30,
}.items():
    for _unit in _units.split():
        LENGTHS[_unit] = _bits
DIRECTIONS = "yaw hdg heading cog course nav_bearing target_bearing wind_direction".split()
FLOATS = ("F32", "F64")


class Field:
    """A field of a schema, and how its column is coded."""

    def __init__(self, name, kind, unit, decimals, optional):
        self.full_name, self.kind, self.unit, self.optional = name, kind, unit, optional
        self.decimals = decimals
        self.name = name.split(".")[-1].lower()
        self.is_text = kind in ("Text", "Bytes")
        self.is_exact_float = kind in FLOATS and decimals is None
        turn = self.find_turn()
        bits = {"U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32}.get(kind, 64)
        expected = {"Bool": 0, "U8": 0, "I8": 0, "U16": 768, "I16": 768, "U32": 768, "I32": 1024, "U64": 2560,
                    "I64": 2560, "F32": 1024, "F64": 1024}.get(kind, 1024)
        length = self.find_length()
        if self.is_exact_float:
            bits, expected, length = (32, 3584, 30) if kind == "F32" else (64, 10240, 40)
        is_signed = kind in ("I8", "I16", "I32", "I64", "F32", "F64")
        self.shape = Shape(Ring(bits, turn), expected, length, is_signed)
        self.quantity, self.numerator, self.denominator = self.find_role()

    def find_turn(self):
        if self.name not in DIRECTIONS or self.is_exact_float:
            return None
        scale = 10 ** (self.decimals or 0)
        if self.unit == "rad":
            turn = (6283185307 * scale + 500000000) // 1000000000
            return divide(-turn, 2), turn
        return {"deg": (0, 360 * scale), "cdeg": (0, 36000 * scale)}.get(self.unit)

    def find_length(self):
        by_kind = {"Bool": 1, "U8": 2, "I8": 2, "U16": 8, "I16": 8}.get(self.kind, 10)
        return limit(LENGTHS.get(self.unit, by_kind) + 33 * (self.decimals or 0) // 10, 1, 40)

    def find_role(self):
        unit = "mrad/s" if self.unit == "" and self.name.endswith("gyro") else self.unit
        quantity = QUANTITIES.get(self.name)
        fraction = (10000000, 1) if unit == "deg" and self.kind == "F64" else UNITS.get(unit)
        if self.is_exact_float or quantity is None or fraction is None:
            return None, 1, 1
        if quantity in ("RollRate", "PitchRate", "YawRate") and unit not in ANGULAR:
            return None, 1, 1
        numerator, denominator = fraction
        if self.name in ("climb", "climb_rate"):
            numerator = -numerator
        return quantity, numerator, denominator * 10 ** (self.decimals or 0)

    def c(self, n):
        return signed(n * self.numerator // self.denominator)

    def n(self, c):
        numerator, denominator = self.numerator, self.denominator
        if numerator < 0:
            numerator, denominator = -numerator, -denominator
        return signed((c * denominator + numerator // 2) // numerator)

    def value(self, n):
        """The value that a number of the column stands for."""
        if self.kind in FLOATS and self.decimals is not None:
            quotient = n / 10 ** self.decimals if abs(n) < 1 << 53 else float(n) / 10 ** self.decimals
            return float_bits(self.kind, quotient)
        if self.kind in FLOATS:
            bits = 32 if self.kind == "F32" else 64
            n = signed(n, bits)
            if n < 0:
                n ^= (1 << (bits - 1)) - 1
            return self.kind, n & ((1 << bits) - 1)
        if self.kind == "Bool":
            return n != 0
        bits = int(self.kind[1:])
        return signed(n, bits) if self.kind[0] == "I" else n & ((1 << bits) - 1)


def float_bits(kind, number):
    if kind == "F64":
        return kind, struct.unpack(">Q", struct.pack(">d", number))[0]
    try:
        return kind, struct.unpack(">I", struct.pack(">f", number))[0]
    except OverflowError:
        return kind, 0x7F800000 if number > 0 else 0xFF800000


def letters(name):
    return "".join(c for c in name if c not in "0123456789")


class Schema:
    """`fields` are (name, kind, unit, decimals, optional)."""

    def __init__(self, schema_id, system, fields):
        self.id, self.system = schema_id, system % 4
        self.fields = [Field(*field) for field in fields]

        def rank(i):
            quantity = self.fields[i].quantity
            return 0 if quantity == "Clock" else 1 if quantity in SPEEDS else 2

        self.order = sorted(range(len(self.fields)), key=rank)
        quantities = [field.quantity for field in self.fields]
        self.clock = quantities.index("Clock") if "Clock" in quantities else None
        self.velocities = None
        if "NorthVelocity" in quantities and "EastVelocity" in quantities:
            self.velocities = quantities.index("NorthVelocity"), quantities.index("EastVelocity")
        self.like = []
        for i, field in enumerate(self.fields):
            alike = [j for j in range(i) if self.is_alike(self.fields[j], field)]
            self.like.append(alike[-1] if alike else None)

    @staticmethod
    def is_alike(a, b):
        return ((a.kind, a.unit, a.decimals, letters(a.full_name))
                == (b.kind, b.unit, b.decimals, letters(b.full_name)))


# 6. Records


class Source:
    def __init__(self):
        self.owner, self.value, self.at, self.order = None, 0, 0, 0


class Quantities:
    """The newest values of each quantity, by vehicle."""

    def __init__(self):
        self.places = {}
        self.updates = 0

    def of(self, system, quantity):
        return self.places.setdefault((system, quantity), [Source() for _ in range(4)])

    def newest(self, system, quantity, owner=None):
        """The place of the newest value that is not the owner's own."""
        best = None
        for i, source in enumerate(self.of(system, quantity)):
            if source.owner not in (None, owner) and (best is None or source.order > best[0]):
                best = (source.order, i)
        return None if best is None else best[1]

    def update(self, system, quantity, owner, value, at):
        self.updates += 1
        places = self.of(system, quantity)
        mine = [source for source in places if source.owner == owner]
        source = mine[0] if mine else min(places, key=lambda source: source.order)
        source.owner, source.value, source.at, source.order = owner, value, at, self.updates


PRIMER = """\
0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ abcdefghijklmnopqrstuvwxyz
status of the sensor: ok, error 0, warning, on, off, open, closed, low, high, ready, not found
ArduPilot Ready
Initialising
Calibrating barometer
Barometer 1 calibration complete
GPS 1: detected as u-blox at 230400 baud
EKF3 IMU0 initialised
EKF3 IMU1 tilt alignment complete
EKF3 IMU0 is using GPS
EKF3 IMU1 origin set
AHRS: EKF3 active
PreArm: Need Position Estimate
PreArm: Compass not calibrated
Arming motors
Disarming motors
Mission: 1 Takeoff
Reached command #2
Reached waypoint #3
Flight mode changed to RTL
Battery 1 is low 10.55V
Battery failsafe
Radio failsafe
EKF variance
Landing detected
Armed by external command
Disarmed by landing
connection lost"""


class History:
    """What texts were, and where in it what comes now came before."""

    def __init__(self):
        self.ring, self.end, self.places = [0] * 4096, 0, [0] * 1024
        self.expected = self.same = 0

    def before(self, place, back):
        return self.ring[(place - back) % 4096]

    def push(self, byte):
        goes_on = self.same and self.ring[self.expected] == byte
        self.ring[self.end] = byte
        self.end = (self.end + 1) % 4096
        newest = self.before(self.end, 3) << 16 | self.before(self.end, 2) << 8 | self.before(self.end, 1)
        h = newest * 0x9E3779B1 % (1 << 32) >> 22
        if goes_on:
            self.expected = (self.expected + 1) % 4096
            self.same = min(7, self.same + 1)
        else:
            self.expected, self.same = self.places[h], 0
            while self.same < 7 and self.before(self.expected, self.same + 1) == self.before(self.end, self.same + 1):
                self.same += 1
            if self.same < 3:
                self.same = 0
        self.places[h] = self.end


class Told:
    """Stands for a coder where the bits are known: those of the primer."""

    def __init__(self, data):
        self.bits = [byte >> place & 1 for byte in data for place in range(7, -1, -1)]

    def bit(self, _):
        return self.bits.pop(0)


class SharedText:
    WEIGHTS = (30000, 24000, 0, 38000)

    def __init__(self):
        self.single = [Bit(32768) for _ in range(256)]
        self.tables = [[Bit(32768) for _ in range(2048)] for _ in range(2)]
        self.history = History()
        self.repeats = [[Bit(32768), Bit(32768)] for _ in range(8)]
        weights = list(self.WEIGHTS)
        for line in PRIMER.split("\n"):
            self.code(Told(line.encode()), weights, len(line))
        for bit in self.single:
            bit.seen = min(bit.seen, 4)

    def code(self, coder, weights, length):
        text, before = bytearray(), 0
        for _ in range(length):
            byte = self.code_byte(coder, weights, before)
            self.history.push(byte)
            before = (before << 8 | byte) & 0xFFFF
            text.append(byte)
        self.history.push(0)
        return bytes(text)

    def code_byte(self, coder, weights, before):
        m = 1 << 32
        hashes = [(before & mask) * 0x9E3779B1 % m >> 8 for mask in (0xFF, 0xFFFF)]
        same, expected = self.history.same, 256 | self.history.ring[self.history.expected]
        node = 1
        for place in range(7, -1, -1):
            bits = [(self.single[node], 250)]
            for table, h in zip(self.tables, hashes):
                bits.append((table[((h + node) * 0x85EBCA6B % m >> 20) % 2048], 30))
            if same and expected >> (place + 1) == node:
                bits.append((self.repeats[same][expected >> place & 1], 250))
            else:
                bits.append((Bit(32768), 250))
            node = node << 1 | mix(coder, weights, bits)
        return node & 255


class Text:
    LENGTH = Shape(Ring(), 1024, 4, False)

    def __init__(self):
        self.last = b""
        self.same, self.modelled = Bit(20000), Bit(45000)
        self.length = Number(self.LENGTH)
        self.weights = list(SharedText.WEIGHTS)

    def code(self, coder, state):
        if not self.same.code(coder, 30):
            length = self.length.code(coder, state.shared)
            if not 0 <= length <= state.text_left:
                raise Desync("over a limit")
            modelled = self.modelled.code(coder, 30)
            if state.block is not None and not modelled:
                if length > len(state.block):
                    raise Desync("the block ends early")
                self.last, state.block = state.block[:length], state.block[length:]
            elif modelled:
                self.last = state.text.code(coder, self.weights, length)
            else:
                self.last = bytes(coder.raw(8) for _ in range(length))
        text = self.last
        state.text_left -= len(text)
        if state.text_left < 0:
            raise Desync("over a limit")
        for byte in text:
            state.hash = (state.hash ^ byte) * 0x01000193 & 0xFFFFFFFF
        if len(text) > 512:
            self.last = b""
        return text


class Column:
    def __init__(self, field):
        self.number = Number(field.shape)
        self.text = Text() if field.is_text else None
        self.present, self.was_present = [Bit(40000), Bit(40000)], 1
        self.exceptional, self.was_exceptional = [Bit(600, 20), Bit(40000)], 0
        self.same_exception, self.exception = Bit(50000), 0
        self.seen, self.rate = [0] * 4, 0


def cosine(latitude):
    x = min(abs(latitude), 900_000_000) // 1000
    full = 3_240_000_000_000
    return max(1000, (full - 4 * x * x) * 256 // ((full + x * x) // 256))


class Stream:
    def __init__(self, schema):
        self.schema = schema
        self.columns = [Column(field) for field in schema.fields]
        self.last_time, self.last_step = None, 0

    def code(self, coder, state, time):
        schema = self.schema
        values = [None] * len(schema.fields)
        step = 0 if self.last_time is None else signed(time - self.last_time)
        surprise = 0
        for index in schema.order:
            field, column = schema.fields[index], self.columns[index]
            had, former = column.number.has_value, column.number.last
            values[index] = self.code_field(coder, state, index, time, step, surprise)
            if column.text is None:
                surprise = column.number.residuals.surprise()
            if index == schema.clock and had:
                clock_step = field.c(signed(column.number.last - former))
                if 1 <= clock_step < 10_000_000:
                    step = clock_step
        self.last_time, self.last_step = time, step
        if schema.velocities:
            columns = [(schema.fields[i], self.columns[i].number) for i in schema.velocities]
            if all(number.has_value for _, number in columns):
                squares = sum(field.c(number.last) ** 2 for field, number in columns)
                speed = math.isqrt(squares) if squares < 1 << 64 else (1 << 63) - 1
                state.quantities.update(schema.system, "GroundSpeed", (schema.id, "speed"), speed, time)
        return values

    def code_field(self, coder, state, index, time, step, surprise):
        field, column = self.schema.fields[index], self.columns[index]
        if field.optional:
            column.was_present = column.present[column.was_present].code(coder, 30)
            if not column.was_present:
                return None
        if column.text:
            return field.kind, column.text.code(coder, state)
        if field.kind in FLOATS and field.decimals is not None:
            column.was_exceptional = column.exceptional[column.was_exceptional].code(coder, 60)
            if column.was_exceptional:
                if not column.same_exception.code(coder, 30):
                    column.exception = coder.raw(32 if field.kind == "F32" else 64)
                state.mix(column.exception)
                return field.kind, column.exception
        hints = self.hints(state, index, time, step)
        pace = 0
        if step > 0 and self.last_step > 0:
            pace = limit((min(step, 10_000_000) << 8) // self.last_step, 64, 1024)
        n = column.number.code(coder, state.shared, hints, pace, surprise)
        state.mix(n)
        if field.quantity:
            system, quantities = self.schema.system, state.quantities
            owner = (self.schema.id, index)
            quantities.update(system, field.quantity, owner, field.c(column.number.last), time)
            column.seen = [source.value for source in quantities.of(system, field.quantity)]
            rate = RATES.get(field.quantity)
            newest = quantities.newest(system, rate) if rate else None
            if newest is not None:
                column.rate = quantities.of(system, rate)[newest].value
        return field.value(n)

    def hints(self, state, index, time, step):
        field, column, system = self.schema.fields[index], self.columns[index], self.schema.system
        number, quantity, quantities = column.number, field.quantity, state.quantities
        hints = [None] * 4
        if quantity is None:
            like = self.schema.like[index]
            if not number.has_value and like is not None and self.columns[like].number.has_value:
                hints[0] = self.columns[like].number.last
            return hints
        place = quantities.newest(system, quantity, (self.schema.id, index))
        if place is not None:
            source = quantities.of(system, quantity)[place]
            here = field.n(source.value)
            if number.has_value:
                hints[0] = field.shape.ring.unroll(here, number.last)
                hints[1] = signed(number.last + field.n(signed(source.value - column.seen[place])))
            elif quantity != "Clock":
                hints[0] = here
            if quantity == "Clock":
                hints[3] = field.n(signed(source.value + signed(time - source.at)))
        if not number.has_value:
            if quantity == "Clock":
                hints[0] = field.n(time)
            return hints
        if quantity == "Clock":
            hints[2] = signed(number.last + field.n(step))
        rate = RATES.get(quantity)
        place = quantities.newest(system, rate) if rate else None
        if place is not None:
            most = 100_000_000
            rates = limit(quantities.of(system, rate)[place].value, -most, most) + limit(column.rate, -most, most)
            travelled = divide(divide(rates, 2) * limit(step, 0, 10_000_000), 1_000_000)
            if quantity == "Altitude":
                travelled = -travelled
            elif quantity in ("Latitude", "Longitude"):
                travelled = divide(travelled * 898315, 10000000)
                if quantity == "Longitude":
                    place = quantities.newest(system, "Latitude")
                    latitude = 0 if place is None else quantities.of(system, "Latitude")[place].value
                    travelled = divide(travelled * 65536, cosine(latitude))
            hints[2] = signed(number.last + field.n(travelled))
        return hints


# 1. Frames


class State:
    def __init__(self):
        self.shared, self.text = Shared(), SharedText()
        self.events, self.quantities = Events(), Quantities()
        self.streams = []
        self.columns = 0
        self.hash = 0x811C9DC5
        self.text_left = self.values_left = 0
        self.block = None

    def mix(self, x):
        h = (self.hash ^ x & 0xFFFFFFFF) * 0x01000193 & 0xFFFFFFFF
        self.hash = (h << 5 | h >> 27) & 0xFFFFFFFF

    def code(self, coder, schemas, parts):
        self.text_left, self.values_left = MAX_TEXT_BYTES, MAX_VALUES
        return [self.code_part(coder, schemas) for _ in range(parts)]

    def code_part(self, coder, schemas):
        count = self.events.count.code(coder, self.shared)
        if not 0 <= count <= MAX_VALUES:
            raise Desync("over a limit")
        records = []
        for _ in range(count):
            index, time = self.events.code(coder, self.shared)
            schema_id = self.events.streams[index].id
            self.mix(schema_id)
            self.mix(time)
            if index == len(self.streams):
                if schema_id not in schemas:
                    raise KeyError(f"schema {schema_id} was not declared")
                self.streams.append(Stream(schemas[schema_id]))
                self.columns += len(schemas[schema_id].fields) + 1
            stream = self.streams[index]
            self.values_left -= len(stream.columns) + 1
            if self.columns > MAX_COLUMNS or self.values_left < 0:
                raise Desync("over a limit")
            records.append((schema_id, time, stream.code(coder, self, time)))
        records.sort(key=lambda record: record[0])
        return records


def code_block(coder):
    """What stands in the block of a frame."""
    length, block_length = coder.raw(18) + 1, coder.raw(16) + 1
    content = decompress(bytes(coder.raw(8) for _ in range(block_length)), length)
    if len(content) != length:
        raise Desync("not an LZ4 block")
    return content


def decompress(block, length):
    """An LZ4 block: literals, then a copy of what stood some bytes before, again and again."""
    out, at = bytearray(), 0

    def count(nibble):
        nonlocal at
        total = nibble
        while nibble == 15:
            total, at = total + block[at], at + 1
            if block[at - 1] != 255:
                break
        return total

    while at < len(block) and len(out) <= length:
        token, at = block[at], at + 1
        literals = count(token >> 4)
        out += block[at : at + literals]
        at += literals
        if at >= len(block):
            break
        back, at = int.from_bytes(block[at : at + 2], "little"), at + 2
        copied = count(token & 15) + 4
        if not 0 < back <= len(out):
            raise Desync("not an LZ4 block")
        for _ in range(min(copied, length - len(out))):
            out.append(out[-back])
    return bytes(out)


class Decoder:
    """Takes frames, and remembers the states that others continue."""

    def __init__(self, copy):
        self.copy = copy
        self.kept = {}

    def decode(self, data, schemas, first):
        """The parts of a frame, each a list of (schema id, time in microseconds, values)."""
        coder = RangeDecoder(data)
        if coder.bit(513):
            raise ValueError("a simple frame: see docs/PROTOCOL.md, section 7")
        kind = "next" if coder.bit(40960) else "since" if coder.bit(32768) else "key"
        back = 0
        if kind == "since":
            if coder.bit(1024):
                back = coder.raw(64)
            else:
                below = coder.raw(4)
                back = 1 << below | coder.raw(below)
        keep = "nothing" if coder.bit(4096 if kind == "next" else 32768) else "all" if coder.bit(32768) else "next"
        several = coder.bit(16384 if keep == "nothing" else 1024)
        count = coder.raw(10) + 1 if several else 1
        block = code_block(coder) if keep == "nothing" and coder.bit(1024) else None
        state = self.base(kind, first, back)
        state.block = block
        state.hash = (state.hash ^ first & 0xFFFFFFFF ^ first >> 32) * 0x01000193 & 0xFFFFFFFF
        parts = state.code(coder, schemas, count)
        if state.block:
            raise Desync("the block is too long")
        records = sum(len(part) for part in parts)
        bits = 8 if kind == "key" or records == 1 else 16
        if coder.raw(bits) != (state.hash ^ state.hash >> 16) & ((1 << bits) - 1) or coder.at < len(data):
            raise Desync("the check differs")
        if keep != "nothing":
            self.kept[first] = (first + records, state, keep == "all")
            while len(self.kept) > MAX_STATES:
                del self.kept[min(self.kept)]
        return parts

    def base(self, kind, first, back):
        if kind == "key":
            return State()
        if kind == "since":
            at = first - back & (1 << 64) - 1
        else:
            at = max((at for at, (end, _, _) in self.kept.items() if end == first), default=None)
        if at not in self.kept:
            raise NoBase(f"the frame from record {first} on continues a frame that is not here")
        _, state, lasting = self.kept[at]
        if kind == "next" and not lasting:
            del self.kept[at]
            return state
        return self.copy(state)
