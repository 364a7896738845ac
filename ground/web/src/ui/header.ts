/** The page's head: whether this page hears the ground, the theme, help; and the way in where the ground asks for a token. */

import type { ConnectionState } from "../../client/src";
import { spanText } from "../model/age";
import { button, el, iconButton, setAttribute, setText } from "./dom";
import type { Theme } from "./theme";

const TOKEN_KEY = "tern-token";
/** Shorter interruptions are over before anybody has read of them, seconds. */
const BANNER_AFTER_S = 0.3;

/** The token that the operator gave, for as long as this tab lives. */
export function storedToken(): string | null {
  return sessionStorage.getItem(TOKEN_KEY);
}

export class Header {
  readonly element: HTMLElement;
  /** Under the head: says when what is shown is not news. */
  readonly banner = el("div.banner", { role: "alert", hidden: true });
  private readonly connection = el("span.connection", { role: "status" });
  private readonly login = el("dialog.login");
  private readonly why = el("p");
  private state: ConnectionState = { phase: "closed" };

  constructor(theme: Theme, actions: { onToken: () => void; onValues: () => void }) {
    const help = helpDialog();
    this.element = el("header.top", {},
      el("h1", {}, bird(), "Tern"),
      this.connection,
      el("div.top-tools", {},
        button("All values", actions.onValues, { class: "quiet-button", title: "All values (V)" }),
        iconButton("Light or dark (T)", "M12 3a9 9 0 1 0 9 9 7 7 0 0 1-9-9z", () => theme.toggle()),
        iconButton("Keys and signs (?)", "M9.5 9a2.6 2.6 0 1 1 3.6 2.4c-.8.4-1.1.9-1.1 1.8M12 17h.01", () => help.showModal())),
      help, this.login);
    this.makeLogin(actions.onToken);
    window.addEventListener("keydown", (event) => {
      if (event.key === "?" && !isTyping(event)) help.showModal();
    });
  }

  /** Shows another state of the connection. */
  setState(state: ConnectionState): void {
    this.state = state;
    if (state.phase === "refused" && !this.login.open) {
      setText(this.why, `${state.reason.charAt(0).toUpperCase()}${state.reason.slice(1)}.`);
      sessionStorage.removeItem(TOKEN_KEY);
      this.login.showModal();
    }
    if (state.phase === "open" && this.login.open) this.login.close();
    this.draw();
  }

  draw(): void {
    const { state } = this;
    setAttribute(document.body, "data-connection", state.phase);
    if (state.phase === "lost") {
      const lasted = Date.now() / 1000 - state.since;
      setText(this.connection, "Reconnecting");
      setText(this.banner, `No connection to the ground for ${spanText(lasted)}. What you see is the last known state; `
        + "it resumes by itself.");
      setAttribute(this.banner, "hidden", lasted < BANNER_AFTER_S ? "" : null);
      document.title = "Tern – no connection";
      return;
    }
    setAttribute(this.banner, "hidden", "");
    setText(this.connection, { open: "Ground connected", connecting: "Connecting", refused: "No access", closed: "Closed" }[state.phase]);
    document.title = "Tern";
  }

  private makeLogin(onToken: () => void): void {
    const token = el("input", { type: "password", autocomplete: "current-password", id: "token", required: true });
    const form = el("form", { method: "dialog" },
      el("h2", {}, "This ground is private"), this.why,
      el("label", { for: "token" }, "Access token"),
      // Password managers want a name beside a password.
      el("input", { type: "text", value: "viewer", autocomplete: "username", hidden: true }),
      token, el("button.primary", {}, "Show telemetry"));
    form.addEventListener("submit", () => {
      sessionStorage.setItem(TOKEN_KEY, token.value.trim());
      token.value = "";
      onToken();
    });
    this.login.append(form);
    this.login.addEventListener("cancel", (event) => event.preventDefault());
  }
}

/** Whether a key was meant for a field rather than for the page. */
export function isTyping(event: KeyboardEvent): boolean {
  // The field of a dialog that has just been closed keeps the focus until the next frame.
  return event.target instanceof Element && event.target.checkVisibility()
    && event.target.matches("input, textarea, select, [contenteditable]");
}

function helpDialog(): HTMLDialogElement {
  const keys: [string, string][] = [
    ["1 – 9", "choose a vehicle"], ["F", "follow the vehicle on the map"], ["A", "show the whole track"],
    ["arrows, + −", "move and zoom the map, when it has the focus"], ["V", "all values"], ["L", "plots back to live"],
    ["T", "light or dark"], ["?", "this help"],
  ];
  const dialog = el("dialog.help", { "aria-label": "Keys and signs" },
    el("h2", {}, "Keys"), el("dl", {}, ...keys.flatMap(([key, what]) => [el("dt", {}, key), el("dd", {}, what)])),
    el("h2", {}, "Ages"),
    el("p", {}, "Every value carries the time since it was measured on the vehicle. From 2 s on it greys, at 10 s it is grey: "
      + "the last that is known, not what is. The dashed ring on the map is how far the vehicle can have come since."),
    el("h2", {}, "Connections"),
    el("p", {}, "“Ground connected” is about this page and the ground alone. Each vehicle has a link of its own: one that has "
      + "not been heard for 2 s is called silent and turns amber, whatever its connection claims. From then on the page "
      + "estimates what is still to come, and says “about”."),
    el("h2", {}, "Live, later, missing"),
    el("p", {}, "What an outage held up follows behind the live data and is drawn in its own colour. What is still missing is "
      + "dotted, until it is filled."));
  const form = el("form", { method: "dialog" }, el("button.primary", {}, "Close"));
  dialog.append(form);
  return dialog;
}

function bird(): SVGSVGElement {
  const mark = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  mark.setAttribute("viewBox", "0 0 32 32");
  mark.setAttribute("class", "bird");
  mark.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", "M2 11c6-3 10-1 14 5 3-6 8-9 14-8-6 1-9 5-11 10l5 6-7-3c-3 1-6 0-8-2l5-1C11 14 7 11 2 11z");
  mark.append(path);
  return mark;
}
