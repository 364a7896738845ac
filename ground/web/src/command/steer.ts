/**
 * Steering: a pad and keys, whose place is sent as set-points while somebody holds them.
 *
 * Letting go sends the middle once, and then nothing: the vehicle stops by itself when set-points cease, whatever became
 * of the last one. So does losing the focus, hiding the page, or a lost connection.
 */

import type { ControlStatus } from "../../client/src";
import { el, setAttribute, setText } from "../ui/dom";
import { fromKeys, fromPointer, isStickKey, type Deflection } from "./stick";

/** How often a held stick is said, milliseconds. */
const PERIOD_MS = 100;
/** How long a set-point counts: longer than a satellite takes, with room for a few that are lost. */
export const LIFE_MS = 1500;

/** Takes set-points; returns whether it could. */
export type SetPointSink = (values: Deflection) => boolean;

export class SteerPad {
  readonly element: HTMLElement;
  private readonly pad = el("div.pad", {
    tabindex: 0, role: "application", "aria-label": "Steering. Hold the arrow keys, or W A S D, to drive; let go to stop.",
  });
  private readonly knob = el("div.knob");
  private readonly text = el("p.steer-state", { role: "status" });
  private readonly keys = new Set<string>();
  private pointer: Deflection | null = null;
  private timer: ReturnType<typeof setInterval> | undefined;
  private status: ControlStatus | null = null;

  constructor(private readonly send: SetPointSink) {
    this.pad.append(this.knob);
    this.element = el("div.steer", { hidden: true }, el("h3", {}, "Steer"), this.pad, this.text,
      el("p.note", {}, "Hold to drive, let go to stop. It stops by itself when it hears nothing for 1.5 s."));
    this.listen();
    this.show([0, 0]);
  }

  /** What the vehicle says of the control. */
  setStatus(status: ControlStatus | null): void {
    this.status = status;
    this.describe();
  }

  /** Lets go, whoever holds it. */
  release(): void {
    this.keys.clear();
    this.pointer = null;
    this.update();
  }

  private get deflection(): Deflection {
    return this.pointer ?? fromKeys(this.keys);
  }

  private get isHeld(): boolean {
    return this.pointer !== null || this.keys.size > 0;
  }

  private listen(): void {
    const { pad } = this;
    const follow = (event: PointerEvent) => {
      const box = pad.getBoundingClientRect();
      this.pointer = fromPointer(event.clientX - box.left, event.clientY - box.top, box.width);
      this.update();
    };
    pad.addEventListener("pointerdown", (event) => {
      pad.setPointerCapture(event.pointerId);
      pad.focus();
      event.preventDefault();
      follow(event);
    });
    pad.addEventListener("pointermove", (event) => { if (this.pointer) follow(event); });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"] as const) {
      pad.addEventListener(end, () => { this.pointer = null; this.update(); });
    }
    pad.addEventListener("keydown", (event) => {
      if (!isStickKey(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      this.keys.add(event.key);
      this.update();
    });
    pad.addEventListener("keyup", (event) => { if (this.keys.delete(event.key)) this.update(); });
    pad.addEventListener("blur", () => this.release());
    document.addEventListener("visibilitychange", () => { if (document.hidden) this.release(); });
  }

  /** Begins, goes on or ends to send, as the stick is held. */
  private update(): void {
    if (this.isHeld) {
      if (this.timer === undefined) {
        this.tick();
        this.timer = setInterval(() => this.tick(), PERIOD_MS);
      }
    } else if (this.timer !== undefined) {
      clearInterval(this.timer);
      this.timer = undefined;
      this.send([0, 0]);
    }
    this.show(this.deflection);
  }

  private tick(): void {
    if (!this.send(this.deflection)) this.release();
  }

  private show([right, forward]: Deflection): void {
    this.knob.style.transform = `translate(${(right * 100).toFixed(0)}%, ${(-forward * 100).toFixed(0)}%)`;
    setAttribute(this.pad, "data-held", String(this.isHeld));
    this.describe();
  }

  private describe(): void {
    const { status } = this;
    const said = status === null ? "" : status.state === "active" ? "The vehicle follows."
      : status.state === "stopped" ? `Stopped${status.reason === "ceased" ? ": set-points ceased" : ""}.`
        : `Refused${status.reason ? `: ${status.reason.replaceAll("-", " ")}` : ""}.`;
    setText(this.text, said || (this.isHeld ? "Steering…" : "Not steering."));
    setAttribute(this.text, "data-state", status?.state ?? null);
  }
}
