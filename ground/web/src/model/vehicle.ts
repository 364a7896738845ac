import { readHeartbeat, type Heartbeat } from "./modes";
import type { Place } from "./geo";
import type { Lane } from "./lane";
import { MissingRecords } from "./missing";
import { positionRank, readFix, type Fix } from "./position";
import { LatencyMeter } from "./quantile";
import { RateMeter } from "./rate";
import { findField, readField, type FieldRef, type Reading, type ReadingName } from "./readings";
import { Stream, type Sample } from "./stream";
import { Track } from "./track";

/** The most status texts that are kept. */
const MAX_TEXTS = 200;
/** What a reading comes from is looked for anew this often, seconds: streams may appear that are better. */
const RESOLVE_S = 2;

/** A line of status text. */
export interface StatusText {
  captured: number;
  lane: Lane;
  /** MAV_SEVERITY: 0 emergency to 7 debug. */
  severity: number;
  text: string;
}

/** A vehicle as the page knows it. */
export class Vehicle {
  readonly streams = new Map<string, Stream>();
  readonly track = new Track();
  readonly latency = new LatencyMeter();
  readonly missing = new MissingRecords();
  /** Status texts, oldest first. */
  readonly texts: StatusText[] = [];
  textsVersion = 0;
  /** Records that the page was sent, by lane. */
  readonly arrived = { live: 0, backlog: 0 };
  /** Arrival of the newest record, seconds since the Unix epoch by the ground's clock. */
  lastReceived: number | null = null;
  fix: Fix | null = null;
  /** The first place that the page knew it at: something that stays where it is. */
  anchor: Place | null = null;
  home: (Place & { captured: number }) | null = null;
  heartbeat: (Heartbeat & { captured: number }) | null = null;
  private readonly rate = new RateMeter();
  private bestPosition: { stream: Stream; rank: number } | null = null;
  private readonly resolved = new Map<ReadingName, { ref: FieldRef | null; at: number }>();

  constructor(readonly name: string) {}

  /** The stream of a name, made when it is new. */
  stream(name: string): Stream {
    let stream = this.streams.get(name);
    if (!stream) {
      stream = new Stream(name);
      this.streams.set(name, stream);
    }
    return stream;
  }

  /** Takes a record in. */
  take(streamName: string, sample: Sample, isSnapshot: boolean): void {
    const stream = this.stream(streamName);
    stream.take(sample);
    this.lastReceived = Math.max(this.lastReceived ?? sample.received, sample.received);
    if (!isSnapshot) this.arrived[sample.lane] += 1;
    if (sample.lane === "live" && !isSnapshot) {
      this.latency.add(sample.received, (sample.received - sample.captured) * 1e3);
    }
    this.takePosition(stream, sample);
    if (streamName.startsWith("mavlink/")) this.takeMavlink(stream, sample);
  }

  /** Records a second that it makes when all is well; 0 until known. */
  get usualRate(): number {
    return this.rate.perSecond;
  }

  /** Takes in that a record of these names came. */
  count(epoch: string, seq: number, sample: Sample): void {
    this.missing.add(epoch, seq, sample.received);
    if (sample.lane === "live") this.rate.add(sample.received);
  }

  /** The newest value of a reading; `null` while nothing gives it. */
  reading(name: ReadingName, now: number): Reading | null {
    const ref = this.fieldOf(name, now);
    return ref ? readField(ref) : null;
  }

  /** The field that gives a reading. */
  fieldOf(name: ReadingName, now: number): FieldRef | null {
    const known = this.resolved.get(name);
    if (known && now - known.at < RESOLVE_S) return known.ref;
    const ref = findField(this.streams.values(), name);
    this.resolved.set(name, { ref, at: now });
    return ref;
  }

  private takePosition(stream: Stream, sample: Sample): void {
    const rank = positionRank(stream);
    if (rank === null) return;
    if (!this.bestPosition || rank < this.bestPosition.rank) this.bestPosition = { stream, rank };
    if (this.bestPosition.stream !== stream) return;
    const fix = readFix(stream, sample);
    if (!fix) return;
    this.track.add(fix);
    this.anchor ??= fix;
    if (!this.fix || fix.captured >= this.fix.captured) this.fix = fix;
  }

  private takeMavlink(stream: Stream, sample: Sample): void {
    const { captured, fields } = sample;
    switch (stream.shortName) {
      case "HEARTBEAT": {
        const heartbeat = readHeartbeat(fields);
        if (!heartbeat || (this.heartbeat && this.heartbeat.captured > captured)) return;
        // Until the vehicle says where its home is, it is where it was seen to be armed.
        const isArming = heartbeat.armed && this.heartbeat?.armed === false;
        if (isArming && this.fix) this.home ??= { lat: this.fix.lat, lon: this.fix.lon, captured };
        this.heartbeat = { ...heartbeat, captured };
        return;
      }
      case "HOME_POSITION": {
        const { latitude, longitude } = fields;
        if (typeof latitude !== "number" || typeof longitude !== "number" || (latitude === 0 && longitude === 0)) return;
        this.home = { lat: latitude / 1e7, lon: longitude / 1e7, captured };
        return;
      }
      case "STATUSTEXT":
        this.takeStatusText(sample);
    }
  }

  /** Takes a line of status text in, in its place; a second time changes nothing. */
  takeStatusText({ captured, lane, fields }: Pick<Sample, "captured" | "lane" | "fields">): void {
    const { text, severity } = fields;
    if (typeof text === "string") this.takeText({ captured, lane, severity: Number(severity ?? 6), text });
  }

  private takeText(text: StatusText): void {
    if (this.texts.some((other) => other.captured === text.captured && other.text === text.text)) return;
    let place = this.texts.length;
    while (place > 0 && this.texts[place - 1]!.captured > text.captured) place -= 1;
    this.texts.splice(place, 0, text);
    if (this.texts.length > MAX_TEXTS) this.texts.shift();
    this.textsVersion += 1;
  }
}
