// Everything: all transports of browsers.

import { Fetch } from "./engine/fetch.js";
import { Transport, TRANSPORTS, type TransportClass } from "./engine/transport.js";
import { WS } from "./engine/websocket.js";
import { XHR } from "./engine/xhr.js";
import { io } from "./client.js";

TRANSPORTS.polling = Fetch;
TRANSPORTS.websocket = WS;

export * from "./client.js";
export { io as default, Transport, Fetch, XHR, WS as WebSocket };
export type { TransportClass };
// The names under which the official client has those of Node; here the entry for Node has them.
export { XHR as NodeXHR, WS as NodeWebSocket };
