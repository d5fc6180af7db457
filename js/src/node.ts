// Everything, for Node: the transports are made of Node's own modules, so that certificates, agents and cookies work.

import { io } from "./client.js";
import { Fetch } from "./engine/fetch.js";
import { Transport, TRANSPORTS, type TransportClass } from "./engine/transport.js";
import { WS } from "./engine/websocket.js";
import { XHR } from "./engine/xhr.js";
import { NodePolling } from "./node/polling.js";
import { NodeWS } from "./node/websocket.js";

TRANSPORTS.polling = NodePolling;
TRANSPORTS.websocket = NodeWS;

export * from "./client.js";
export { io as default, Transport, Fetch, XHR, WS as WebSocket, NodePolling as NodeXHR, NodeWS as NodeWebSocket };
export type { TransportClass };
