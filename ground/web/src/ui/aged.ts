/** A value on the screen with its age beneath it. */

import { ageLevel, ageText, fade } from "../model/age";
import { el, setAttribute, setText } from "./dom";

export class Aged {
  readonly element: HTMLElement;
  private readonly value = el("span.value");
  private readonly unit = el("span.unit");
  private readonly age = el("span.age");

  /** `origin` is said beneath the label. */
  constructor(label: string, key: string, origin = "") {
    this.element = el("div.reading", { "data-reading": key },
      el("dt", {}, label, origin ? el("small", {}, origin) : null), el("dd", {}, el("span.figure", {}, this.value, this.unit), this.age));
  }

  /** Shows a value captured at `captured`, as of `now`; while `isOnline` is false its age is not known to be its last. */
  show(text: string, unit: string, captured: number, now: number, isOnline: boolean): void {
    const ageS = now - captured;
    setText(this.value, text);
    setText(this.unit, unit);
    setText(this.age, ageText(ageS));
    paintAge(this.element, ageS, isOnline);
  }
}

/** Greys an element by the age of what it shows. */
export function paintAge(element: HTMLElement, ageS: number, isOnline: boolean): void {
  setAttribute(element, "data-age", isOnline ? ageLevel(ageS) : "old");
  const faded = isOnline ? fade(ageS).toFixed(2) : "1.00";
  if (element.style.getPropertyValue("--fade") !== faded) element.style.setProperty("--fade", faded);
}
