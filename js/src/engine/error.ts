// How a connection ends that was not meant to.

/** Why a transport broke. */
export class TransportError extends Error {
  readonly type = "TransportError";
  /** The error of the platform, where it gave one. */
  readonly cause?: unknown;

  constructor(
    message: string,
    /** An HTTP status, or the event or error the platform gave. */
    readonly description: any,
    /** The response, where there is one. */
    readonly context: any,
    /** What is probably wrong and where to look, in a sentence for developers. */
    readonly hint?: string,
  ) {
    super(message);
    if (description instanceof Error) this.cause = description;
  }
}

/** More about a close. */
export interface CloseDetails {
  description: string;
  context?: any;
}
