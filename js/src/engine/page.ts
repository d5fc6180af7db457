// What happens to a page and concerns its connection: the network goes, the page is put away or left,
// the machine wakes up.

import { onNode, root } from "../root.js";

interface Watcher {
  /** Time may have passed unnoticed. */
  look: () => unknown;
  /** The connection is gone, whatever it seems. */
  lost: (description: string) => void;
  /** The page ends, and nobody wants to hear of it. */
  leave: () => void;
}

// How often to look whether a heartbeat was overslept: timers stand still with the machine.
const LOOK = 5000;

/** Watches the page, if this is one; the answer ends that. */
export function watchPage(
  options: { hostname?: string; closeOnBeforeunload?: boolean },
  { look, lost, leave }: Watcher,
): () => void {
  if (onNode || !root.addEventListener) return () => {};
  const handlers: { [event: string]: (event: any) => void } = {
    // The own machine is reachable without a network.
    offline: () => options.hostname != "localhost" && lost("network connection lost"),
    // A page with an open connection is not kept for the way back, or kept with a dead one.
    pagehide: (event) => event.persisted && lost("page hidden"),
    beforeunload: () => options.closeOnBeforeunload && leave(),
    online: look,
    focus: look,
    visibilitychange: look,
  };
  const each = (what: string) => {
    // visibilitychange is the document's own event, but bubbles to the window.
    for (const name of Object.keys(handlers)) root[what](name, handlers[name]);
  };
  each("addEventListener");
  const timer = setInterval(look, LOOK);
  return () => {
    clearInterval(timer);
    each("removeEventListener");
  };
}
