declare const answer: Promise<string>;
declare const timed: Promise<string>;
export { answer, timed };
