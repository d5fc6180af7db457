import { operations } from "./operations.mjs";

operations("sharded");
