import { WS } from "../engine/websocket.js";
export declare class NodeWS extends WS {
    protected takesBlobs: boolean;
    protected socket(uri: string): WebSocket;
}
