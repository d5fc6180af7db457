/** Revision of the Socket.IO protocol. */
export declare const protocol = 5;
export declare enum PacketType {
    CONNECT = 0,
    DISCONNECT = 1,
    EVENT = 2,
    ACK = 3,
    CONNECT_ERROR = 4,
    BINARY_EVENT = 5,
    BINARY_ACK = 6
}
export interface Packet {
    type: PacketType;
    nsp: string;
    data?: any;
    id?: number;
    options?: {
        compress?: boolean;
        volatile?: boolean;
    };
}
/** Names a program may not send, as they mean something local. */
export declare const RESERVED: string[];
/** Whether `packet` carries what its type asks for. */
export declare function isPacketValid({ type, nsp, data, id }: Packet): boolean;
export declare function isObject(value: unknown): value is Record<string, any>;
