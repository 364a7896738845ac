/** Light, dark, or as the system has it; and the colours that canvases need. */

const KEY = "tern-theme";
const CHOICES = ["auto", "light", "dark"] as const;

/** What the operator chose. */
export type ThemeChoice = (typeof CHOICES)[number];

/** Colours of the theme in force, as CSS texts. */
export type Colours = Record<ColourName, string>;

const COLOUR_NAMES = [
  "text", "quiet", "faded", "line", "panel", "page", "accent", "live", "backlog", "gap", "good", "warn", "bad", "water", "land",
  "coast", "grid",
] as const;
type ColourName = (typeof COLOUR_NAMES)[number];

/** Holds the choice, and tells who draws when the colours change. */
export class Theme {
  choice: ThemeChoice;
  private colours: Colours | null = null;
  private readonly listeners: (() => void)[] = [];

  constructor() {
    const stored = localStorage.getItem(KEY);
    this.choice = CHOICES.find((choice) => choice === stored) ?? "auto";
    this.apply();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.apply());
  }

  /** Whether dark colours are in force. */
  get isDark(): boolean {
    return this.choice === "dark" || (this.choice === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  }

  /** The other of light and dark; back to the system's where that is the same. */
  toggle(): void {
    const wanted = this.isDark ? "light" : "dark";
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    this.choice = wanted === system ? "auto" : wanted;
    localStorage.setItem(KEY, this.choice);
    this.apply();
  }

  /** Calls back after each change. */
  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** The colours in force. */
  get(name: ColourName): string {
    if (this.colours === null) {
      const style = getComputedStyle(document.documentElement);
      this.colours = Object.fromEntries(
        COLOUR_NAMES.map((colour) => [colour, style.getPropertyValue(`--${colour}`).trim()]),
      ) as Colours;
    }
    return this.colours[name];
  }

  private apply(): void {
    document.documentElement.dataset["theme"] = this.isDark ? "dark" : "light";
    document.querySelector('meta[name="theme-color"]')?.setAttribute("content", this.isDark ? "#10161b" : "#ffffff");
    this.colours = null;
    for (const listener of this.listeners) listener();
  }
}
