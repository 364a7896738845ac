/** Puts the page together: client into store, store into panels, a few times a second. */

import { TernClient } from "../client/src";
import { CommandPanel } from "./command/panel";
import { LinkPanel } from "./link/panel";
import { loadTrack } from "./map/past";
import { MapPanel } from "./map/panel";
import { Store } from "./model/store";
import { PlotsPanel } from "./plots/panel";
import { el } from "./ui/dom";
import { Header, isTyping, storedToken } from "./ui/header";
import { ReadingsPanel } from "./ui/readings";
import { Tabs } from "./ui/tabs";
import { loadTexts } from "./ui/past";
import { TextsPanel } from "./ui/texts";
import { Theme } from "./ui/theme";
import { ValuesDialog } from "./ui/values";
import { VehicleList } from "./ui/vehicles";

/** Numbers change this often at most, however many records come, milliseconds. */
const DRAW_MS = 100;

/** Builds the page in `root` and connects to the ground that served it. */
export function start(root: HTMLElement): void {
  const store = new Store();
  const theme = new Theme();
  const client = new TernClient({ url: webSocketUrl(), token: storedToken }, {
    onState: (state) => {
      store.isOnline = state.phase === "open";
      header.setState(state);
    },
    onAccess: (access) => command.setAccess(access),
    onCommand: (status) => command.log.take(status),
    onControl: (status) => command.takeControl(status),
    onError: ({ code, message }) => {
      // A ground of another version may know less than this page.
      if (code !== "unknown-operation") command.setProblem(message);
    },
  });
  const values = new ValuesDialog(store);
  const header = new Header(theme, { onToken: () => client.connect(), onValues: () => values.open() });
  const map = new MapPanel(store, theme, meta("tern-tiles"), meta("tern-tiles-attribution"));
  const vehicles = new VehicleList(store);
  const readings = new ReadingsPanel(store);
  const plots = new PlotsPanel(store, theme, client);
  const link = new LinkPanel(store, theme);
  const command = new CommandPanel(store, client);
  const texts = new TextsPanel(store);
  const tabs = new Tabs();
  root.append(
    header.element, header.banner,
    el("main", {},
      el("div.column.left", {}, vehicles.element, link.element, texts.element),
      el("div.column.centre", {}, map.element, plots.element),
      el("div.column.right", {}, readings.element, command.element)),
    tabs.element, values.element);

  client.subscribe({}, {
    onVehicle: (message) => store.takeVehicle(message),
    onStream: (message) => store.takeStream(message),
    onRecord: (message) => store.takeRecord(message),
    onReady: (message) => {
      store.completeSince ??= message.server_time;
    },
  });

  window.addEventListener("keydown", (event) => {
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const key = event.key.toLowerCase();
    if (key === "t") theme.toggle();
    else if (key === "v") values.open();
    else if (!vehicles.onKey(key) && !map.onKey(key) && !plots.onKey(key)) return;
    event.preventDefault();
  });
  window.addEventListener("online", () => client.hurry());
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) client.hurry();
  });

  const draw = () => {
    const now = client.clock.now();
    header.draw();
    vehicles.draw(now);
    readings.draw(now);
    map.draw(now);
    plots.draw(now);
    link.draw(now);
    command.draw(now);
    texts.draw(now);
    values.draw(now);
    loadTrack(store, client, now);
    loadTexts(store, client);
  };
  setInterval(() => {
    if (!document.hidden) requestAnimationFrame(draw);
  }, DRAW_MS);
  client.connect();
}

function webSocketUrl(): string {
  const url = new URL("ws", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

/** What the ground's configuration says, in the page's head. */
function meta(name: string): string {
  return document.querySelector(`meta[name="${name}"]`)?.getAttribute("content") ?? "";
}
