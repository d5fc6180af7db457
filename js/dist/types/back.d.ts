/** Calls `then` when the network is there again, or the page from the back/forward cache; the answer ends that. */
export declare function whenBack(then: () => void): () => void;
