interface Watcher {
    /** Time may have passed unnoticed. */
    look: () => unknown;
    /** The connection is gone, whatever it seems. */
    lost: (description: string) => void;
    /** The page ends, and nobody wants to hear of it. */
    leave: () => void;
}
/** Watches the page, if this is one; the answer ends that. */
export declare function watchPage(options: {
    hostname?: string;
    closeOnBeforeunload?: boolean;
}, { look, lost, leave }: Watcher): () => void;
/** Calls `then` when it is pointless to wait any longer: the network is there again, or the page is back. */
export declare function whenBack(then: () => void): () => void;
export {};
