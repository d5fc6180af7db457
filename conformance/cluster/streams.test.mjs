import { operations } from "./operations.mjs";

operations("streams");
