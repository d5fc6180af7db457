// The global object. `globalThis` is younger than the oldest browsers we run in.

export const root: any = typeof self == "object" ? self : globalThis;

/** Whether this is Node and not a page. */
export const onNode = typeof root.process == "object" && !!(root.process.versions && root.process.versions.node);
