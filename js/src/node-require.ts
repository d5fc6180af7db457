// The same for `require`: the function itself, which carries the rest.

import * as all from "./node.js";

declare const module: { exports: unknown };

module.exports = Object.assign(all.io, all);
