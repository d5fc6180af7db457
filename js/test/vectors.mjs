// Reading the captured vectors: their ways of writing binary and broken text.

/** A value as the vectors write it, to the value itself. */
export function revive(value) {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(revive);
  if (typeof value.$b64 === "string") return Buffer.from(value.$b64, "base64");
  if (value.$num) return Number(value.$num);
  if (value.$utf16) return String.fromCharCode(...value.$utf16);
  if (value.$undefined) return undefined;
  if (value.$date_ms !== undefined) return new Date(value.$date_ms);
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, revive(each)]));
}

export const wireText = (wire) => (wire.utf16 ? String.fromCharCode(...wire.utf16) : wire.text);

export const bytes = (data) => (ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.from(data));
