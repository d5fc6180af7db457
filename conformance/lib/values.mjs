// Event arguments as JSON: a binary value is `{"$binary": base64}`.

/** For the way out. */
export function pack(value) {
  if (value instanceof Uint8Array || value instanceof ArrayBuffer) return { $binary: Buffer.from(value).toString("base64") };
  return walk(value, pack);
}

/** For the way in. */
export function unpack(value) {
  if (typeof value?.$binary === "string") return Buffer.from(value.$binary, "base64");
  return walk(value, unpack);
}

function walk(value, visit) {
  if (Array.isArray(value)) return value.map(visit);
  if (value !== null && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, visit(one)]));
  return value;
}
