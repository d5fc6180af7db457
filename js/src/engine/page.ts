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
  const kept = (event: any) => event.persisted && lost("page hidden");
  const end = onPage({
    // The own machine is reachable without a network.
    offline: () => options.hostname != "localhost" && lost("network connection lost"),
    // A page with an open connection is not kept for the way back, or kept with a dead one. Who wants no word of
    // the end hears of it when there was none.
    pagehide: (event) => options.closeOnBeforeunload || kept(event),
    pageshow: kept,
    beforeunload: () => options.closeOnBeforeunload && leave(),
    online: look,
    focus: look,
    // The document's own event, but it bubbles to the window.
    visibilitychange: look,
  });
  const timer = isPage && setInterval(look, LOOK);
  return () => {
    clearInterval(timer);
    end();
  };
}

/** Calls `then` when it is pointless to wait any longer: the network is there again, or the page is back. */
export function whenBack(then: () => void): () => void {
  return onPage({
    online: then,
    // A page shown for the first time comes back from nowhere.
    pageshow: (event) => event.persisted && then(),
  });
}

/** Listens to the window, if there is one; the answer ends that. */
function onPage(handlers: { [event: string]: (event: any) => void }): () => void {
  const each = (what: string) => {
    if (isPage) for (const name of Object.keys(handlers)) root[what](name, handlers[name]);
  };
  each("addEventListener");
  return () => each("removeEventListener");
}

const isPage = !onNode && root.addEventListener;
