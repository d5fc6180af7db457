declare const answer: Promise<string>;
declare const timed: Promise<string>;
declare const hint: string | undefined, cause: unknown;
declare const id: string | undefined;
declare const states: boolean[];
export { answer, cause, hint, id, states, timed };
