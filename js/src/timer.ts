// Every timer of the client is made here, so that `useNativeTimers`, `autoUnref` and the ceiling of
// `setTimeout` are thought of once.

/** The options that say how timers are made. */
export interface TimerOptions {
  /** Use the timers found when this script was loaded, whatever replaced them since (default false). */
  useNativeTimers?: boolean;
  /** Node: waiting timers do not keep the process alive (default false). */
  autoUnref?: boolean;
}

// Larger delays overflow 32 bits and would fire at once: a hostile ping interval must not do that.
const CEILING = 0x7fffffff;

const nativeSet = setTimeout;
const nativeClear = clearTimeout;

/** Calls `then` after `ms` milliseconds; the answer cancels it. */
export function after(ms: number, options: TimerOptions, then: () => void): () => void {
  const native = options.useNativeTimers;
  const timer: any = (native ? nativeSet : setTimeout)(then, Math.min(ms, CEILING));
  if (options.autoUnref && timer.unref) timer.unref();
  return () => (native ? nativeClear : clearTimeout)(timer);
}

/** Calls `then` when the running code is through, before any timer. */
export function soon(then: () => void): void {
  Promise.resolve().then(then);
}
