/** Waiting times before the next attempt to connect: 0.25 s doubling to 4 s, each shortened by up to a quarter by chance. */
export class Backoff {
  private attempts = 0;

  constructor(
    private readonly firstMs = 250,
    private readonly maxMs = 4000,
    private readonly random: () => number = Math.random,
  ) {}

  /** How long to wait before the next attempt, milliseconds. */
  next(): number {
    const full = Math.min(this.maxMs, this.firstMs * 2 ** this.attempts);
    this.attempts = Math.min(this.attempts + 1, 32);
    return full * (1 - this.random() / 4);
  }

  /** An attempt has succeeded. */
  reset(): void {
    this.attempts = 0;
  }
}
