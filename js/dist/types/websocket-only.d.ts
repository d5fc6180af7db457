import { io } from "./client.js";
export * from "./client.js";
export { io as default };
