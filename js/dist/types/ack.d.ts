type Last<T extends any[]> = T extends [...any[], infer L] ? L : any;
type ButLast<T extends any[]> = T extends [...infer Rest, any] ? Rest : any[];
/** What `emitWithAck` takes: the arguments without the callback. */
export type ArgsBeforeAck<Params extends any[]> = ButLast<Params>;
/** What `emitWithAck` gives: the first argument of the callback that is not the error. */
export type AckResult<Params extends any[]> = Last<Params> extends (err: Error, result: infer R, ...rest: any[]) => any ? R : Last<Params> extends (result: infer R, ...rest: any[]) => any ? R : any;
type WithError<F> = F extends (...args: infer P) => infer R ? (err: Error, ...args: P) => R : F;
type LastWithError<T extends any[]> = T extends [...infer Rest, infer L] ? [...Rest, WithError<L>] : T;
/** The same events after `timeout()`: callbacks get an error first. */
export type TimedEvents<Emit> = {
    [Name in keyof Emit]: Emit[Name] extends (...args: infer P) => infer R ? (...args: LastWithError<P>) => R : Emit[Name];
};
export {};
