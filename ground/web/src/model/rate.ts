/** How many records a second come, over the seconds in which any came: what a vehicle makes, however its link is. */
export class RateMeter {
  private second = 0;
  private count = 0;
  private smoothed: number | null = null;

  /** The rate; 0 until a whole second was seen. */
  get perSecond(): number {
    return this.smoothed ?? 0;
  }

  /** Takes in that a record arrived, time in seconds. */
  add(received: number): void {
    const second = Math.floor(received);
    if (second !== this.second) {
      // The first second was seen in part only.
      if (this.second !== 0 && second === this.second + 1) this.turn();
      this.second = second;
      this.count = 0;
    }
    this.count += 1;
  }

  private turn(): void {
    this.smoothed = this.smoothed === null ? this.count : this.smoothed + (this.count - this.smoothed) / 8;
  }
}
