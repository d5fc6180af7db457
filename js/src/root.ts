// The global object. `globalThis` is younger than the oldest browsers we run in.

export const root: any = typeof self == "object" ? self : globalThis;
