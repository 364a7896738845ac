/** Those who wait for the connection to stand. */
export class Waiting {
  private readonly waiters = new Set<(stands: boolean) => void>();

  /** Waits `limitMs` at most; returns whether it stands. */
  wait(limitMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (stands: boolean) => {
        clearTimeout(timer);
        this.waiters.delete(settle);
        resolve(stands);
      };
      const timer = setTimeout(() => settle(false), limitMs);
      this.waiters.add(settle);
    });
  }

  /** Ends all waiting: it stands, or will not. */
  settle(stands: boolean): void {
    for (const settle of this.waiters) settle(stands);
  }
}
