// The bundle for script elements, CommonJS and AMD.

import { io } from "./index.js";
import { root } from "./root.js";

declare const module: { exports: unknown } | undefined;
declare const define: (((deps: string[], make: () => unknown) => void) & { amd?: unknown }) | undefined;

if (typeof module == "object" && module.exports) module.exports = io;
else if (typeof define == "function" && define.amd) define([], () => io);
else root.io = io;
