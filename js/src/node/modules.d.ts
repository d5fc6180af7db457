// The little of Node that is used here. Its own types would be a dependency of everybody who has ours.
declare module "node:http";
declare module "node:https";
declare module "node:crypto";
declare module "node:buffer";
