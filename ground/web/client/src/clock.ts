/**
 * The ground's time, as this computer knows it.
 *
 * Every message that carries the ground's time bounds the offset from below, as it was sent before it came: the largest
 * that was seen is the truth less the shortest way. It is good to the way's delay, some tens of milliseconds.
 */
export class GroundClock {
  private offsetS: number | null = null;

  /** `here` is a clock in seconds that nobody sets. */
  constructor(private readonly here: () => number = monotonicSeconds) {}

  /** Takes a time that the ground just told, seconds since the Unix epoch. */
  learn(groundTimeS: number): void {
    const offset = groundTimeS - this.here();
    if (this.offsetS === null || offset > this.offsetS) this.offsetS = offset;
  }

  /** Forgets the offset: another ground, or one whose clock was set, may answer next. */
  forget(): void {
    this.offsetS = null;
  }

  /** The ground's time, seconds since the Unix epoch. Before the first word of it, this computer's. */
  now(): number {
    return this.here() + (this.offsetS ?? 0);
  }
}

function monotonicSeconds(): number {
  return (performance.timeOrigin + performance.now()) / 1000;
}
