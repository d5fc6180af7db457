// MessagePack as socket.io-msgpack-parser speaks it (notepack.io): undefined is extension 0 of one byte, a Date extension
// 0 of eight, and binary goes as `bin`. Nothing here trusts a length before the bytes are there.

import { isBinary } from "../engine/packet.js";

// Nobody nests this deep by hand, and each level is a stack frame.
const MAX_DEPTH = 128;

/** A value as MessagePack. Throws for what cannot be written: a BigInt, a Blob, a circle. */
export function encode(value: unknown): Uint8Array {
  let bytes = new Uint8Array(256);
  let view = new DataView(bytes.buffer);
  let length = 0;

  /** Makes room for `count` bytes more; where they begin. */
  const room = (count: number): number => {
    const at = length;
    length += count;
    if (length > bytes.length) {
      const larger = new Uint8Array(Math.max(length, bytes.length * 2));
      larger.set(bytes);
      bytes = larger;
      view = new DataView(bytes.buffer);
    }
    return at;
  };
  const byte = (value: number) => {
    const at = room(1);
    bytes[at] = value;
  };
  /** A first byte and a number after it, of 0, 1, 2 or 4 bytes: the shortest that holds it. */
  const head = (small: number, limit: number, tags: number[], count: number) => {
    if (count < limit) return byte(small + count);
    const width = count < 0x100 && tags[0] ? 1 : count < 0x10000 ? 2 : 4;
    byte(tags[width >> 1]!);
    const at = room(width);
    if (width == 1) bytes[at] = count;
    else if (width == 2) view.setUint16(at, count);
    else view.setUint32(at, count);
  };
  const wide = (tag: number, value: number) => {
    byte(tag);
    const at = room(8);
    const high = Math.floor(value / 2 ** 32);
    view.setUint32(at, high);
    view.setUint32(at + 4, value - high * 2 ** 32);
  };
  const number = (value: number) => {
    if (!Number.isInteger(value) || Object.is(value, -0) || Math.abs(value) >= 2 ** 63) {
      byte(0xcb);
      const at = room(8);
      view.setFloat64(at, value);
    } else if (value >= 2 ** 32) wide(0xcf, value);
    else if (value >= 0) head(0, 0x80, [0xcc, 0xcd, 0xce], value);
    else if (value >= -0x20) byte(value + 0x100);
    else if (value >= -0x80) byte(0xd0), byte(value + 0x100);
    else if (value >= -0x8000) {
      byte(0xd1);
      const at = room(2);
      view.setInt16(at, value);
    } else if (value >= -(2 ** 31)) {
      byte(0xd2);
      const at = room(4);
      view.setInt32(at, value);
    } else wide(0xd3, value);
  };
  const write = (value: any, depth: number): void => {
    if (depth > MAX_DEPTH) throw new Error("nested too deep");
    switch (typeof value) {
      case "string": {
        const text = new TextEncoder().encode(value);
        head(0xa0, 0x20, [0xd9, 0xda, 0xdb], text.length);
        const at = room(text.length);
        bytes.set(text, at);
        return;
      }
      case "number":
        return number(value);
      case "boolean":
        return byte(value ? 0xc3 : 0xc2);
      case "undefined":
        return byte(0xd4), byte(0), byte(0);
      case "object":
        if (value === null) return byte(0xc0);
        if (value instanceof Date) return byte(0xd7), wide(0, value.getTime());
        if (isBinary(value)) {
          if (value instanceof Blob) throw new Error("a Blob cannot be written as MessagePack: send its arrayBuffer()");
          const data = ArrayBuffer.isView(value)
            ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
            : new Uint8Array(value);
          head(0, 0, [0xc4, 0xc5, 0xc6], data.length);
          const at = room(data.length);
          bytes.set(data, at);
          return;
        }
        if (typeof value.toJSON == "function") return write(value.toJSON(), depth + 1);
        if (Array.isArray(value)) {
          head(0x90, 0x10, [0, 0xdc, 0xdd], value.length);
          for (const each of value) write(typeof each == "function" ? undefined : each, depth + 1);
        } else {
          const keys = Object.keys(value).filter((key) => typeof value[key] != "function");
          head(0x80, 0x10, [0, 0xde, 0xdf], keys.length);
          for (const key of keys) {
            write(key, depth);
            write(value[key], depth + 1);
          }
        }
        return;
      default:
        throw new Error("could not encode a " + typeof value);
    }
  };
  write(value, 0);
  return bytes.slice(0, length);
}

/** The value that MessagePack holds; throws if it holds none, or more than one. */
export function decode(wire: ArrayBuffer | Uint8Array): any {
  const bytes = wire instanceof ArrayBuffer ? new Uint8Array(wire) : wire;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // Node hands out Buffers and wants them back; everybody else has asked for an ArrayBuffer.
  const asBuffer = bytes.constructor != Uint8Array;
  let position = 0;

  const take = (count: number): number => {
    const at = position;
    if (count > bytes.length - at) throw new Error("cut off");
    position += count;
    return at;
  };
  const uint = (width: number): number => {
    const at = take(width);
    return width == 1 ? bytes[at]! : width == 2 ? view.getUint16(at) : view.getUint32(at);
  };
  const wide = (signed: boolean): number => {
    const at = take(8);
    return (signed ? view.getInt32(at) : view.getUint32(at)) * 2 ** 32 + view.getUint32(at + 4);
  };
  const binary = (count: number): any => {
    const at = take(count);
    const part = bytes.subarray(at, at + count);
    return asBuffer ? part : part.slice().buffer;
  };
  const text = (count: number): string => {
    const at = take(count);
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(at, at + count));
  };
  const list = (count: number, depth: number): any[] => {
    const all = [];
    // Each takes a byte at least, so the loop ends with the bytes, whatever was announced.
    for (let i = 0; i < count; i++) all.push(read(depth + 1));
    return all;
  };
  const map = (count: number, depth: number): any => {
    const all: any = {};
    for (let i = 0; i < count; i++) {
      const key = String(read(depth + 1));
      const value = read(depth + 1);
      // As JSON.parse: a property, never the prototype.
      if (key == "__proto__") Object.defineProperty(all, key, { value, enumerable: true, configurable: true, writable: true });
      else all[key] = value;
    }
    return all;
  };
  const extension = (count: number): any => {
    const type = view.getInt8(take(1));
    if (type == 0 && count == 1) return void take(1);
    if (type == 0 && count == 8) return new Date(wide(true));
    const data = binary(count);
    return type ? [type, data] : data;
  };
  const read = (depth: number): any => {
    if (depth > MAX_DEPTH) throw new Error("nested too deep");
    const tag = uint(1);
    if (tag < 0x80) return tag;
    if (tag < 0x90) return map(tag - 0x80, depth);
    if (tag < 0xa0) return list(tag - 0x90, depth);
    if (tag < 0xc0) return text(tag - 0xa0);
    if (tag >= 0xe0) return tag - 0x100;
    switch (tag) {
      case 0xc0:
        return null;
      case 0xc2:
      case 0xc3:
        return tag == 0xc3;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return binary(uint(1 << (tag - 0xc4)));
      case 0xc7:
      case 0xc8:
      case 0xc9:
        return extension(uint(1 << (tag - 0xc7)));
      case 0xca:
        return view.getFloat32(take(4));
      case 0xcb:
        return view.getFloat64(take(8));
      case 0xcc:
      case 0xcd:
      case 0xce:
        return uint(1 << (tag - 0xcc));
      case 0xcf:
      case 0xd3:
        return wide(tag == 0xd3);
      case 0xd0:
        return view.getInt8(take(1));
      case 0xd1:
        return view.getInt16(take(2));
      case 0xd2:
        return view.getInt32(take(4));
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return extension(1 << (tag - 0xd4));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return text(uint(1 << (tag - 0xd9)));
      case 0xdc:
      case 0xdd:
        return list(uint(tag == 0xdc ? 2 : 4), depth);
      case 0xde:
      case 0xdf:
        return map(uint(tag == 0xde ? 2 : 4), depth);
      default:
        throw new Error("no such type");
    }
  };
  const value = read(0);
  if (position != bytes.length) throw new Error("more than one value");
  return value;
}
