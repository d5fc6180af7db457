// WebSocket and nothing else, for those who know that nothing stands between them and their server. The build puts
// `engine/direct.ts` in the place of `engine/session.ts`.

import { io } from "./client.js";

export * from "./client.js";
export { io as default };
