import { operations } from "./operations.mjs";

operations("classic");
