// Moments at which it is pointless to wait for the next attempt to connect.

import { onNode, root } from "./root.js";

/** Calls `then` when the network is there again, or the page from the back/forward cache; the answer ends that. */
export function whenBack(then: () => void): () => void {
  if (onNode || !root.addEventListener) return () => {};
  const names = ["online", "pageshow"];
  // A page shown for the first time comes back from nowhere.
  const handler = (event: any) => (event.type == "online" || event.persisted) && then();
  for (const name of names) root.addEventListener(name, handler);
  return () => {
    for (const name of names) root.removeEventListener(name, handler);
  };
}
