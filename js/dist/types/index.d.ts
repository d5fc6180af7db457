import { Fetch } from "./engine/fetch.js";
import { Transport, type TransportClass } from "./engine/transport.js";
import { WS } from "./engine/websocket.js";
import { XHR } from "./engine/xhr.js";
import { io } from "./client.js";
export * from "./client.js";
export { io as default, Transport, Fetch, XHR, WS as WebSocket };
export type { TransportClass };
export { XHR as NodeXHR, WS as NodeWebSocket };
