export declare const root: any;
/** Whether this is Node and not a page. */
export declare const onNode: boolean;
