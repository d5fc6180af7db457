// Socket.IO 5 packets: the numbers, the shape, and what may be in them.

/** Revision of the Socket.IO protocol. */
export const protocol = 5;

export enum PacketType {
  CONNECT,
  DISCONNECT,
  EVENT,
  ACK,
  CONNECT_ERROR,
  BINARY_EVENT,
  BINARY_ACK,
}

export interface Packet {
  type: PacketType;
  nsp: string;
  data?: any;
  id?: number;
  options?: { compress?: boolean; volatile?: boolean };
}

/** Names a program may not send, as they mean something local. */
export const RESERVED = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/** Whether `packet` carries what its type asks for. */
export function isPacketValid({ type, nsp, data, id }: Packet): boolean {
  if (typeof nsp != "string" || (id !== undefined && !Number.isSafeInteger(id))) return false;
  switch (type) {
    case PacketType.CONNECT:
      return (data === undefined || isObject(data)) && id === undefined;
    case PacketType.DISCONNECT:
      return data === undefined;
    case PacketType.CONNECT_ERROR:
      // Servers of the 2.x line refuse with a bare string.
      return data === undefined || typeof data == "string" || isObject(data);
    case PacketType.EVENT:
    case PacketType.BINARY_EVENT:
      return (
        Array.isArray(data) && (typeof data[0] == "number" || (typeof data[0] == "string" && !RESERVED.includes(data[0])))
      );
    case PacketType.ACK:
    case PacketType.BINARY_ACK:
      return Array.isArray(data) && id !== undefined;
    default:
      return false;
  }
}

export function isObject(value: unknown): value is Record<string, any> {
  return typeof value == "object" && value !== null && !Array.isArray(value);
}
